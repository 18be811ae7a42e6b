"""What an attempt has cost so far, when to ask for more money, and when to stop. Pure counting, no I/O."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from server.llm.catalog import Price
from server.llm.messages import Usage, UsageSource
from server.llm.router import tokens_of

SLICE_TOKENS: Final = 512
EXTEND_AT: Final = 0.75
STOP_BEFORE_TOKENS: Final = 64
MAX_ANSWER_BYTES: Final = 1024 * 1024
MAX_DISAGREEMENT: Final = 3
"""Our count is bytes / 3.3, which is twice too high for some scripts; beyond this factor the report is not believed."""
SENTENCE_ENDS: Final = (".", "!", "?", "…", "。", "\uff01", "\uff1f", "\n")


@dataclass(frozen=True, slots=True)
class Settlement:
    """The usage an attempt is settled on, where it comes from, and the price in nano-USD."""

    usage: Usage
    source: UsageSource
    cost_nanousd: int


class Meter:
    """Counts one attempt's output against the tokens that are held for it."""

    __slots__ = ("_bytes", "_held", "_input", "_last", "_price", "_refused", "_reported", "started")

    def __init__(self, price: Price, input_tokens: int, thinking_tokens: int = 0) -> None:
        self._price = price
        self._input = input_tokens
        self._held = SLICE_TOKENS + thinking_tokens
        self._bytes = 0
        self._last = ""
        self._refused = False
        self._reported: Usage | None = None
        self.started = False

    @property
    def opening_nanousd(self) -> int:
        """What to hold before the call: the input at its worst price and one slice of output."""
        return self._cost(Usage(output=self._held)) + self._worst_input()

    @property
    def floor_nanousd(self) -> int:
        """What is certainly owed by now."""
        return self._price.cost(self.counted)

    @property
    def slice_nanousd(self) -> int:
        """The price of one more slice, rounded up by one so that rounding never leaves a hole."""
        return self._cost(Usage(output=SLICE_TOKENS)) + 1

    @property
    def counted(self) -> Usage:
        """Our own count: the estimated input and the bytes that came."""
        return Usage(input=self._input if self.started else 0, output=self._tokens())

    def add(self, text: str) -> None:
        """A piece of output came, shown or not."""
        self.started = True
        self._bytes += len(text) if text.isascii() else len(text.encode("utf-8", "replace"))
        self._last = text or self._last

    def report(self, usage: Usage) -> None:
        """The provider said what it counted; a later word replaces an earlier one."""
        self._reported = usage

    @property
    def wants_more(self) -> bool:
        """Three quarters of what is held are used, and nobody has refused yet."""
        return not self._refused and self._tokens() > EXTEND_AT * self._held

    def extended(self, granted: bool) -> None:
        """The answer to a request for one more slice."""
        if granted:
            self._held += SLICE_TOKENS
        else:
            self._refused = True

    @property
    def must_stop(self) -> bool:
        """The money ends: at a sentence edge within the last 64 held tokens, at the very last in mid sentence."""
        if not self._refused:
            return False
        left = self._held - self._tokens()
        return left <= 0 or (left <= STOP_BEFORE_TOKENS and self._last.rstrip(" ").endswith(SENTENCE_ENDS))

    @property
    def is_too_long(self) -> bool:
        """No answer is a mebibyte long: the model has run wild."""
        return self._bytes > MAX_ANSWER_BYTES

    def settle(self, *, whole: bool) -> Settlement:
        """Reported usage for a whole stream, unless it is far below our count; our own count otherwise."""
        counted = self.counted
        reported = self._reported
        if reported is None:
            source: UsageSource = "counted" if self.started else "estimated"
            return Settlement(counted, source, self._price.cost(counted))
        unbelievable = counted.output > MAX_DISAGREEMENT * (reported.output + 8)
        if unbelievable or (not whole and counted.output > reported.output):
            usage = replace(reported, output=counted.output)
            return Settlement(usage, "counted", self._price.cost(usage))
        return Settlement(reported, "reported", self._price.cost(reported))

    def _tokens(self) -> int:
        return tokens_of(self._bytes)

    def _cost(self, usage: Usage) -> int:
        return self._price.cost(usage)

    def _worst_input(self) -> int:
        return -(-self._input * self._price.worst_input // 1_000_000)
