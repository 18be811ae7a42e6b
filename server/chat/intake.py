"""What a visitor sends, before it is recorded: cleaned, measured, counted, and read once."""

from __future__ import annotations

from dataclasses import dataclass

from server import errors
from server.chat.insight import Insight, Intent
from server.guardrails.injection import clean
from server.ids import VisitorId
from server.limits.rates import Admitted, Charge, Rates
from server.protocol import Sentiment
from server.storage.records import BotRecord, TenantRecord


@dataclass(frozen=True, slots=True)
class Accepted:
    """A message that may be recorded and answered; `rate` says what is left of the limits."""

    text: str
    intent: Intent
    sentiment: Sentiment
    sentiment_score: float
    rate: Admitted


class Intake:
    """Steps 1 and 2 of a turn: who may ask how much, and what of it counts as text."""

    def __init__(self, rates: Rates, insight: Insight) -> None:
        self._rates = rates
        self._insight = insight

    async def accept(
        self, tenant: TenantRecord, bot: BotRecord, visitor: VisitorId, text: str, *, address: str | None = None
    ) -> Accepted:
        """Take a message in; raises EmptyMessage, TooLong, RateLimited or TenantSuspended."""
        if tenant.status != "active":
            raise errors.TenantSuspended
        limits = bot.config.limits
        cleaned = measured(text, limits.max_message_chars)
        charges = [
            Charge("visitor_messages", visitor, limit_value=limits.messages_per_minute),
            Charge("tenant_messages", tenant.id, limit_value=tenant.messages_per_minute),
        ]
        if address is not None:
            charges.append(Charge("address_messages", address))
        rate = await self._rates.admit(tenant.id, charges)
        reading = self._insight.read(cleaned, bot.config.languages[0])
        return Accepted(cleaned, reading.intent, reading.sentiment, reading.score, rate)


def measured(text: str, max_chars: int) -> str:
    """The cleaned text; raises TooLong beyond `max_chars` and EmptyMessage when nothing is left."""
    if len(text) > 4 * max_chars:
        raise errors.TooLong(f"A message has at most {max_chars} characters.")  # before any work is done on it
    cleaned = clean(text)
    if not cleaned:
        raise errors.EmptyMessage
    if len(cleaned) > max_chars:
        raise errors.TooLong(f"A message has at most {max_chars} characters.")
    return cleaned
