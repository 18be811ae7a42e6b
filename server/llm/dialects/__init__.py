"""The wire formats: a dialect turns one request into deltas. A new format is one module and one row of DIALECTS."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import TYPE_CHECKING, Final, Protocol

from server.llm.dialects import openai, rules
from server.llm.messages import CompletionRequest, Delta

if TYPE_CHECKING:
    from server.llm.catalog import Target
    from server.llm.transport import Transport


class Dialect(Protocol):
    """Streams one attempt in batches of deltas, as they arrive together on the wire.

    Ends with a batch whose last delta is `Finish`; raises `UpstreamFailed` for everything else, a stream that stops
    without its terminal marker included. Closing the generator closes the connection.
    """

    def __call__(
        self, request: CompletionRequest, target: Target, transport: Transport
    ) -> AsyncGenerator[Sequence[Delta], None]: ...


DIALECTS: Final[Mapping[str, Dialect]] = {"openai": openai.stream, "rules": rules.stream}
