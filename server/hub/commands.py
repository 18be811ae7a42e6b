"""What a visitor may ask for, once: the same commands from a socket, from REST and from a resent frame.

Every step of a message is idempotent (the row by client id, the event by its mark, the claim by its mark), so a repeat
goes on where the first try stopped, and never answers twice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from server import errors
from server.hub.events import dumps
from server.hub.log import AWAY, Address, ClaimResult, Log, unavailable
from server.hub.producer import Job, Producers
from server.ids import ConversationId, MessageId, StreamId, VisitorId, new_id, new_stream_id
from server.protocol import Citation
from server.storage import conversations

if TYPE_CHECKING:
    from server.chat.intake import Intake
    from server.limits.rates import Admitted
    from server.protocol import Author, HistoryMessage
    from server.storage.database import Database
    from server.storage.records import BotRecord, MessageRecord, TenantRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Speaker:
    """Who sends a command, and where."""

    tenant: TenantRecord
    bot: BotRecord
    conversation: ConversationId
    visitor: VisitorId
    channel: str = "widget"
    locale: str | None = None
    address: str | None = None
    name: str = ""  # of the connection: its own whispers do not come back
    notify: Callable[[dict[str, Any]], None] | None = None  # sends an ephemeral frame to this connection alone

    @property
    def place(self) -> Address:
        return Address(self.tenant.id, self.conversation)


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    """A message in the log; `stream_id` and `answer_id` are empty when it was answered long ago."""

    message_id: MessageId
    stream_id: StreamId
    answer_id: MessageId
    epoch: str
    seq: int
    duplicate: bool
    queued: bool = False


class Commands:
    """Carries out checked client frames."""

    def __init__(self, db: Database, log: Log, producers: Producers, intake: Intake) -> None:
        self._db = db
        self._log = log
        self._producers = producers
        self._intake = intake

    async def submit(self, speaker: Speaker, *, client_id: str, text: str, author: Author | None = None) -> Submitted:
        """Record a visitor's message, tell everybody, and start or queue the answer; a repeat finds the first one's."""
        try:
            return await self._submit(speaker, client_id, text, author or {"kind": "visitor"})
        except AWAY as failure:
            raise unavailable(failure) from None

    async def _submit(self, speaker: Speaker, client_id: str, text: str, author: Author) -> Submitted:
        accepted = await self._intake.accept(
            speaker.tenant, speaker.bot, speaker.visitor, text, address=speaker.address
        )
        _warn(speaker, accepted.rate)
        mark = f"turn:{client_id}"
        policy = speaker.bot.config.limits.while_answering
        known = await self._log.known(speaker.place, mark)
        if not known and await self._log.busy(speaker.place, policy):
            raise errors.Busy(retry_after_s=2.0)
        record, duplicate = await conversations.add_visitor_message(
            self._db, speaker.tenant.id, speaker.conversation, client_id=client_id, text=accepted.text,
            author=dict(author), sentiment=accepted.sentiment, intent=accepted.intent,
        )  # fmt: skip
        if duplicate and not known:
            # It comes again after its log has gone: the stored answer stands.
            answered = await conversations.answer_to(self._db, speaker.tenant.id, speaker.conversation, record.id)
            if answered is not None:
                return _answered(record.id, answered.id)
        told = await self._log.append(speaker.place, _told(record, author, client_id), mark=f"message:{client_id}")
        job = _job(speaker, record.id, accepted.text)
        result = await self._producers.begin(job, policy, mark=mark)
        if result.outcome == "busy":
            raise errors.Busy(retry_after_s=2.0)
        return _submitted(record.id, job, result, told.epoch, told.seq, duplicate=duplicate)

    async def run(self, speaker: Speaker, frame: dict[str, Any]) -> dict[str, Any] | None:
        """Carry out one command; returns its `ack` or `history` frame, None where it has no answer."""
        try:
            match frame["type"]:
                case "message":
                    return await self._message(speaker, frame)
                case "stop":
                    return await self._stop(speaker, frame)
                case "regenerate":
                    return await self._regenerate(speaker, frame)
                case "feedback":
                    return await self._feedback(speaker, frame)
                case "history":
                    return await self._history(speaker, frame)
                case "typing":
                    await self._typing(speaker, frame)
                    return None
                case "read" | "seen" | "pong":
                    return None
                case _:
                    raise errors.NotPermitted(f"{frame['type']} is not a command here.")
        except AWAY as failure:
            raise unavailable(failure) from None

    async def _message(self, speaker: Speaker, frame: dict[str, Any]) -> dict[str, Any]:
        context = frame.get("context")
        if context is not None and len(dumps(context)) > 8192:
            raise errors.TooLong("context has at most 8 KB.")
        done = await self.submit(speaker, client_id=frame["id"], text=frame["text"])
        ack: dict[str, Any] = {"type": "ack", "id": frame["id"], "messageId": done.message_id}
        if done.seq:
            ack["seq"] = done.seq
        if done.duplicate:
            ack["duplicate"] = True
        if done.queued:
            ack["queued"] = True
        return ack

    async def _stop(self, speaker: Speaker, frame: dict[str, Any]) -> dict[str, Any]:
        heard = frame.get("heard", {}).get("chars")
        applied = await self._log.stop(speaker.place, frame["streamId"], heard)
        return {"type": "ack", "id": frame["id"], "applied": applied}

    async def _regenerate(self, speaker: Speaker, frame: dict[str, Any]) -> dict[str, Any]:
        old = await self._find(speaker, MessageId(frame["messageId"]))
        if old.role != "assistant" or old.reply_to is None:
            raise errors.MessageUnknown("Only an answer can be made again.")
        asked = await self._find(speaker, old.reply_to)
        await self._intake.accept(speaker.tenant, speaker.bot, speaker.visitor, asked.text, address=speaker.address)
        job = _job(speaker, asked.id, asked.text, replaces=old.id)
        policy = speaker.bot.config.limits.while_answering
        result = await self._producers.begin(job, policy, mark=f"regenerate:{frame['id']}")
        if result.outcome == "busy":
            raise errors.Busy(retry_after_s=2.0)
        ack: dict[str, Any] = {"type": "ack", "id": frame["id"], "messageId": _answer_of(job, result)}
        if result.outcome == "queued":
            ack["queued"] = True
        if result.outcome == "known":
            ack["duplicate"] = True
        return ack

    async def _find(self, speaker: Speaker, message: MessageId) -> MessageRecord:
        record = await conversations.get_message(self._db, speaker.tenant.id, speaker.conversation, message)
        if record is None:
            raise errors.MessageUnknown
        return record

    async def _feedback(self, speaker: Speaker, frame: dict[str, Any]) -> dict[str, Any]:
        await self._find(speaker, MessageId(frame["messageId"]))
        await conversations.rate_message(
            self._db, speaker.tenant.id, speaker.conversation, MessageId(frame["messageId"]), str(frame["rating"]),
            frame.get("comment"),
        )  # fmt: skip
        return {"type": "ack", "id": frame["id"]}

    async def _history(self, speaker: Speaker, frame: dict[str, Any]) -> dict[str, Any]:
        before = MessageId(frame["before"]) if "before" in frame else None
        if before is not None:
            await self._find(speaker, before)
        view = await self._log.view(speaker.place, limit=0)
        messages = await self.read_history(speaker.place, frame["limit"], before=before)
        answer: dict[str, Any] = {"type": "history", "id": frame["id"], "messages": messages, "atSeq": view.top}
        if len(messages) == frame["limit"]:
            answer["nextCursor"] = messages[0]["messageId"]
        return answer

    async def read_history(
        self, place: Address, limit: int, *, before: MessageId | None = None
    ) -> list[HistoryMessage]:
        """Stored messages, oldest first."""
        if limit == 0:
            return []
        rows = await conversations.messages_before(
            self._db, place.tenant, place.conversation, before=before, limit=limit
        )
        return [history_message(row) for row in rows]

    async def _typing(self, speaker: Speaker, frame: dict[str, Any]) -> None:
        whisper = dumps({"type": "typing", "who": "visitor", "state": frame["state"]})
        await self._log.publish(speaker.place.log, f"{speaker.name}|-1||{whisper}")


def _warn(speaker: Speaker, rate: Admitted | None) -> None:
    """Tell the visitor when a fifth of the limit is left."""
    if speaker.notify is None or rate is None or rate.remaining * 5 > rate.limit:
        return
    speaker.notify(
        {
            "type": "rate_limit",
            "scope": rate.scope,
            "limit": rate.limit,
            "remaining": rate.remaining,
            "resetMs": rate.reset_ms,
        }
    )


def _job(speaker: Speaker, reply_to: MessageId, text: str, *, replaces: MessageId | None = None) -> Job:
    return Job(
        tenant=speaker.tenant.id,
        bot=speaker.bot.id,
        conversation=speaker.conversation,
        visitor=speaker.visitor,
        stream=new_stream_id(),
        answer=MessageId(new_id("message")),
        reply_to=reply_to,
        text=text,
        channel=speaker.channel,
        replaces=replaces,
        locale=speaker.locale,
    )


def _told(record: MessageRecord, author: Author, client_id: str) -> str:
    """The `message` event of a visitor's message."""
    return dumps(
        {
            "type": "message",
            "messageId": record.id,
            "role": "user",
            "text": record.text,
            "author": author,
            "clientId": client_id,
        }
    )


def _answer_of(job: Job, result: ClaimResult) -> MessageId:
    return MessageId(result.known.partition(":")[2]) if result.known else job.answer


def _submitted(
    message: MessageId, job: Job, result: ClaimResult, epoch: str, seq: int, *, duplicate: bool
) -> Submitted:
    stream = StreamId(result.known.partition(":")[0]) if result.known else job.stream
    return Submitted(
        message_id=message,
        stream_id=stream,
        answer_id=_answer_of(job, result),
        epoch=epoch,
        seq=seq,
        duplicate=duplicate or result.outcome == "known",
        queued=result.outcome == "queued",
    )


def _answered(message: MessageId, answer: MessageId) -> Submitted:
    return Submitted(message_id=message, stream_id=StreamId(""), answer_id=answer, epoch="", seq=0, duplicate=True)


def history_message(row: MessageRecord) -> HistoryMessage:
    """A stored message as the protocol shows it."""
    message: dict[str, Any] = {
        "messageId": row.id,
        "role": row.role,
        "text": row.text,
        "author": row.author,
        "createdAt": row.created_at.isoformat().replace("+00:00", "Z"),
        "status": "complete" if row.status == "complete" else "interrupted",
    }
    optional = {
        "clientId": row.client_id,
        "animation": row.animation,
        "sentiment": row.sentiment,
        "citations": shown_sources(row),
        "suggestions": row.suggestions,
        "rating": row.rating if row.rating in {"up", "down"} else None,
    }
    return message | {name: value for name, value in optional.items() if value}  # type: ignore[return-value]


def shown_sources(row: MessageRecord) -> list[Citation]:
    """What a visitor may see of an answer's sources: not the ids of documents."""
    shown = Citation.__annotations__
    return [{name: value for name, value in source.items() if name in shown} for source in row.sources or ()]  # type: ignore[misc]
