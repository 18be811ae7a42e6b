"""What waits to be sent on one connection: bounded, because tokens of a stream merge without loss. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from server.hub.events import Event, merge, mergeable

MERGE_BYTES = 32 * 1024
COLLAPSE_BYTES = 64 * 1024
_STEP_BYTES = 4 * 1024

Relief = Literal["", "merge", "collapse", "overflow"]


@dataclass(slots=True)
class _Item:
    text: str  # of an event: empty, its text is made when it is sent
    event: Event | None = None
    droppable: bool = False

    @property
    def size(self) -> int:
        return len(self.text) if self.event is None else len(self.event.body)


class Outbox:
    """A queue of frames with the slow-reader policy: merge above 32 KiB, collapse above 64 KiB."""

    __slots__ = ("_items", "_relieved_at", "cues", "size")

    def __init__(self, *, cues: bool = False) -> None:
        self._items: list[_Item] = []
        self._relieved_at = 0
        self.cues = cues
        self.size = 0

    def __bool__(self) -> bool:
        return bool(self._items)

    def put(self, text: str, *, droppable: bool = False) -> None:
        """Queue an ephemeral frame; `droppable` ones go first when the reader is slow."""
        self._add(_Item(text, None, droppable))

    def put_first(self, text: str) -> None:
        """Queue an answer before everything that waits: an `ack` goes before the event it announces."""
        self._items.insert(0, _Item(text))
        self.size += len(text)

    def put_event(self, event: Event) -> None:
        """Queue a durable event."""
        self._add(_Item("", event))

    def _add(self, item: _Item) -> None:
        self._items.append(item)
        self.size += item.size

    def relieve(self) -> tuple[Relief, int]:
        """Apply the policy; after `collapse` the reader must go on from the seq returned (0 otherwise)."""
        if self.size <= MERGE_BYTES or self.size < self._relieved_at:
            return "", 0
        self._merge()
        self._relieved_at = self.size + _STEP_BYTES
        if self.size <= COLLAPSE_BYTES:
            return "merge", 0
        first = self.drop_events()
        return ("collapse" if self.size <= COLLAPSE_BYTES else "overflow"), first

    def _merge(self) -> None:
        merged: list[_Item] = []
        run: list[Event] = []
        for item in self._items:
            if item.droppable:
                continue
            if run and not (item.event is not None and mergeable(run[-1], item.event)):
                merged.append(_Item("", merge(run)))
                run = []
            if item.event is not None:
                run.append(item.event)
            else:
                merged.append(item)
        if run:
            merged.append(_Item("", merge(run)))
        self._items = merged
        self.size = sum(item.size for item in merged)

    def drop_events(self) -> int:
        """Forget every durable event (the log has them); returns the first one's seq, 0 when there was none."""
        first = next((item.event.first for item in self._items if item.event is not None), 0)
        self._items = [item for item in self._items if item.event is None]
        self.size = sum(item.size for item in self._items)
        self._relieved_at = 0
        return first

    def take(self, *, events: bool = True, merged: bool = False) -> list[str]:
        """Everything that waits, in order; without `events` only what is not durable."""
        if merged and events:
            self._merge()
        if not self._items:
            return []
        taken = [item for item in self._items if events or item.event is None]
        if len(taken) == len(self._items):
            self._items = []
            self.size = 0
        else:
            self._items = [item for item in self._items if item.event is not None]
            self.size = sum(item.size for item in self._items)
        self._relieved_at = 0
        return [item.text if item.event is None else item.event.text(self.cues) for item in taken]
