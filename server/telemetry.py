"""Metrics and logs, declared in one place.

Labels carry ids of tenants and bots, names of providers and models, never a visitor and never text. Log records pass an
allow-list of fields, so a message, a token or a key cannot reach a log by accident.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Sequence
from typing import Any, TextIO

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 90)
_FIELDS = frozenset(
    {
        "tenant", "bot", "conversation", "stream", "document", "job", "request", "connection", "provider", "model", "part",
        "state", "code", "status", "method", "route", "reason", "seconds", "ms", "count", "bytes", "length", "attempt",
        "kind", "pid", "port", "url", "epoch", "seq", "version", "error",
    }
)  # fmt: skip


class Telemetry:
    """Every metric of one process, on a registry of its own, so that tests can open many."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._declare_ai()
        self._declare_hub()
        self._declare_rest()

    def _declare_ai(self) -> None:
        answer = ["tenant", "bot", "provider", "model"]
        self.requests = self._counter("ai_requests", "Answers by outcome.", [*answer, "status"])
        self.response_duration = self._histogram("ai_response_duration_seconds", "From message to last token.", answer)
        self.time_to_first_token = self._histogram(
            "ai_time_to_first_token_seconds", "From message to first token.", answer
        )
        self.processing_duration = self._histogram("ai_processing_duration_seconds", "Time in one step.", ["step"])
        self.processing_errors = self._counter("ai_processing_errors", "Failed steps.", ["step", "code"])
        self.tokens_used = self._counter("ai_tokens_used", "Tokens by kind.", [*answer, "kind"])
        self.cost_dollars = self._counter("ai_cost_dollars", "Money spent at providers.", answer)
        self.cache_hits = self._counter("ai_cache_hits", "Answers served from the cache.", ["tenant", "bot", "tier"])
        self.cache_misses = self._counter("ai_cache_misses", "Look-ups without an answer.", ["tenant", "bot"])
        self.active_requests = self._gauge("ai_active_requests", "Answers being made now.", [])
        self.queue_depth = self._gauge("ai_queue_depth", "Jobs waiting.", ["queue"])

    def _declare_hub(self) -> None:
        self.hub_connections = self._gauge("hub_connections", "Open sockets.", [])
        self.hub_resume = self._counter("hub_resume", "Resumes by result.", ["result"])
        self.hub_gap_fills = self._counter("hub_gap_fills", "Holes filled from the log.", [])
        self.hub_pubsub_lag = self._histogram("hub_pubsub_lag_seconds", "Append to delivery.", [])
        self.hub_send_queue = self._gauge("hub_send_queue_bytes", "Bytes waiting in send queues.", [])
        self.hub_slow = self._counter("hub_slow", "Slow readers by action.", ["action"])
        self.hub_close = self._counter("hub_close", "Closed sockets by code.", ["code"])
        self.hub_append_batch = Histogram(
            "hub_append_batch_size",
            "Appends in one pipeline.",
            [],
            registry=self.registry,
            buckets=(1, 2, 4, 8, 16, 32, 64, 128),
        )
        self.hub_fenced = self._counter("hub_fenced", "Appends refused from a producer that lost its claim.", [])
        self.hub_stop = self._histogram("hub_stop_seconds", "From stop to the last event.", [])
        self.hub_ttft = self._histogram("hub_ttft_seconds", "From message to the first chunk in the log.", [])
        self.hub_drain = self._histogram("hub_drain_seconds", "Length of a drain.", [])

    def _declare_rest(self) -> None:
        self.http_requests = self._counter(
            "http_requests", "Requests by route and status.", ["method", "route", "status"]
        )
        self.http_duration = self._histogram("http_request_duration_seconds", "Time per request.", ["method", "route"])
        self.part_up = self._gauge("part_up", "1 when a part works, 0 when it does not.", ["part"])

    def _counter(self, name: str, text: str, labels: Sequence[str]) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, labels: Sequence[str]) -> Gauge:
        return Gauge(name, text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, labels: Sequence[str]) -> Histogram:
        return Histogram(name, text, labels, registry=self.registry, buckets=_SECONDS)

    def render(self) -> bytes:
        """The Prometheus text format."""
        return generate_latest(self.registry)


def logger(name: str) -> logging.Logger:
    """The logger of a room; pass values as `extra={"bot": ...}`, never inside the text."""
    return logging.getLogger(f"parlour.{name}")


class JsonLines(logging.Formatter):
    """One JSON object a line: escapes every control character, drops every field that is not on the list."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        line |= {name: value for name, value in vars(record).items() if name in _FIELDS}
        if record.exc_info and record.exc_info[0] is not None:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def open_logs(level: str, stream: TextIO | None = None) -> None:
    """Send every log of this process to `stream` (stderr) as JSON lines; called by the command line only."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("parlour").setLevel(level.upper())
