"""Which of two searches answers a follow-up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from server.chat.search import better


@dataclass(frozen=True)
class Hit:
    score: float


@dataclass(frozen=True)
class Some:
    found: tuple[Any, ...]
    degraded: str | None = None


def test_a_follow_up_that_is_answered_by_itself_needs_no_help() -> None:
    strong, weak, none = Some((Hit(0.7),)), Some((Hit(0.3),)), Some(())
    assert better(strong, Some((Hit(0.9),))) is strong
    assert better(weak, strong) is strong
    assert better(weak, none) is weak
