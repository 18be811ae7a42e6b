"""Every event the widget and the server exchange (wire protocol v1).

Frames are plain dictionaries typed by the TypedDicts below, because a frame is made for every few tokens and a model
object each would cost more than the frame. Client frames are checked against the same declarations at the edge.
`widget/src/protocol.ts` is generated from this file by `python -m server.protocol`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired, get_args

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from server import errors

VERSION = 1
SUBPROTOCOL = "parlour.v1"
MAX_FRAME_BYTES = 65_536
HEARTBEAT_MS = 25_000

Animation = Literal["idle", "talk_calm", "talk_explain", "happy", "thumbs_up", "nod", "thinking", "confused", "wave"]
ANIMATIONS: tuple[Animation, ...] = get_args(Animation)
CueState = Literal[
    "idle", "talk_calm", "talk_explain", "happy", "thumbs_up", "nod", "thinking", "confused", "wave",
    "listening", "concern", "neutral", "visitor", "pointer", "text", "away",
]  # fmt: skip
CueLayer = Literal["base", "emotion", "gesture", "gaze"]
CueSource = Literal["intent", "tag", "sentiment", "default"]
Sentiment = Literal["positive", "neutral", "negative"]
FinishReason = Literal["stop", "length", "tool", "filtered", "cancelled", "handover", "budget", "error"]
WhileAnswering = Literal["queue", "replace", "reject"]


# Parts ----------------------------------------------------------------------------------------------------------------
class CueAnchor(TypedDict):
    char: int
    sent: NotRequired[int]


# `in` is a Python keyword, hence the functional form.
Cue = TypedDict(
    "Cue",
    {
        "id": NotRequired[str],
        "state": NotRequired[CueState],
        "layer": NotRequired[CueLayer],
        "w": NotRequired[float],
        "at": NotRequired[CueAnchor],
        "in": NotRequired[int],
        "out": NotRequired[int],
        "hold": NotRequired[int],
        "prio": NotRequired[int],
        "src": NotRequired[CueSource],
        "min": NotRequired[int],
        "cancel": NotRequired[str],
    },
)


class Author(TypedDict):
    kind: Literal["visitor", "bot", "human", "system"]
    name: NotRequired[str]
    avatar: NotRequired[str]


class Citation(TypedDict):
    n: int
    title: str
    handle: str
    place: NotRequired[str]
    quote: NotRequired[str]
    url: NotRequired[str]


class TokenUsage(TypedDict):
    inputTokens: NotRequired[int]
    outputTokens: NotRequired[int]
    cachedTokens: NotRequired[int]


class FrameLimits(TypedDict):
    maxMessageBytes: int
    maxMessageChars: int
    messagesPerMinute: int
    whileAnswering: WhileAnswering


class WelcomeBot(TypedDict):
    name: str
    version: int
    greeting: NotRequired[str]
    starters: NotRequired[list[str]]


class ActiveStream(TypedDict):
    streamId: str
    messageId: str


class HistoryMessage(TypedDict):
    messageId: str
    role: Literal["user", "assistant", "system"]
    text: str
    author: Author
    createdAt: str
    status: Literal["complete", "interrupted"]
    clientId: NotRequired[str]
    animation: NotRequired[Animation]
    sentiment: NotRequired[Sentiment]
    citations: NotRequired[list[Citation]]
    suggestions: NotRequired[list[str]]
    rating: NotRequired[Literal["up", "down"]]


# Server -> client: durable (S) frames carry seq -----------------------------------------------------------------------
class Welcome(TypedDict):
    type: Literal["welcome"]
    v: int
    connectionId: str
    conversationId: str
    epoch: str
    seq: int
    resumed: bool
    heartbeatMs: int
    authExpiresAt: str
    limits: FrameLimits
    features: list[str]
    bot: WelcomeBot
    sunset: NotRequired[str]
    activeStream: NotRequired[ActiveStream]


class Ack(TypedDict):
    type: Literal["ack"]
    id: str
    seq: NotRequired[int]
    messageId: NotRequired[str]
    duplicate: NotRequired[bool]
    applied: NotRequired[bool]
    queued: NotRequired[bool]
    token: NotRequired[str]
    expiresAt: NotRequired[str]


class Error(TypedDict):
    type: Literal["error"]
    id: NotRequired[str]
    code: str
    message: str
    retryable: bool
    retryAfterMs: NotRequired[int]
    supported: NotRequired[list[int]]


class Message(TypedDict):
    type: Literal["message"]
    messageId: str
    role: Literal["user", "assistant", "system"]
    text: str
    author: Author
    clientId: NotRequired[str]
    animation: NotRequired[Animation]
    cue: NotRequired[list[Cue]]
    seq: NotRequired[int]


class StreamStart(TypedDict):
    type: Literal["stream_start"]
    streamId: str
    chatbotId: str
    messageId: str
    replyTo: str
    attempt: int
    replaces: NotRequired[str]
    animation: Animation
    cue: NotRequired[list[Cue]]
    seq: NotRequired[int]


StreamChunk = TypedDict(
    "StreamChunk",
    {
        "type": Literal["stream_chunk"],
        "streamId": str,
        "chunk": str,
        "animation": NotRequired[Animation],
        "cue": NotRequired[list[Cue]],
        "from": NotRequired[int],
        "pos": NotRequired[int],
        "seq": NotRequired[int],
    },
)

StreamSnapshot = TypedDict(
    "StreamSnapshot",
    {
        "type": Literal["stream_snapshot"],
        "from": NotRequired[int],
        "streamId": str,
        "messageId": str,
        "replyTo": str,
        "text": str,
        "animation": Animation,
        "cue": NotRequired[list[Cue]],
        "sources": NotRequired[list[Citation]],
        "seq": NotRequired[int],
    },
)


class StreamReset(TypedDict):
    type: Literal["stream_reset"]
    streamId: str
    reason: Literal["failover", "filter", "takeover"]
    keepChars: int
    seq: NotRequired[int]


class StreamComplete(TypedDict):
    type: Literal["stream_complete"]
    streamId: str
    messageId: str
    sentiment: Sentiment
    sentimentScore: NotRequired[float]
    animation: Animation
    cue: NotRequired[list[Cue]]
    finishReason: FinishReason
    chars: int
    heardChars: NotRequired[int]
    usage: NotRequired[TokenUsage]
    citations: NotRequired[list[Citation]]
    suggestions: NotRequired[list[str]]
    cached: NotRequired[bool]
    seq: NotRequired[int]


class StreamError(TypedDict):
    type: Literal["stream_error"]
    streamId: str
    messageId: str
    error: str
    code: Literal["interrupted", "timeout", "no_provider", "budget_exceeded", "tool_failed", "internal"]
    retryable: bool
    animation: NotRequired[Animation]
    cue: NotRequired[list[Cue]]
    seq: NotRequired[int]


class Source(TypedDict):
    type: Literal["source"]
    streamId: str
    n: int
    title: str
    handle: str
    place: NotRequired[str]
    url: NotRequired[str]
    quote: NotRequired[str]
    seq: NotRequired[int]


class AnimationFrame(TypedDict):
    type: Literal["animation"]
    animation: Animation
    cue: NotRequired[list[Cue]]


class TypingFrame(TypedDict):
    type: Literal["typing"]
    who: Literal["visitor", "human", "bot"]
    state: Literal["on", "off"]


class RateLimit(TypedDict):
    type: Literal["rate_limit"]
    scope: Literal[
        "visitor_messages",
        "visitor_streams",
        "address_connections",
        "tenant_messages",
        "tenant_tokens",
        "tenant_budget",
    ]
    limit: int
    remaining: int
    resetMs: int


class History(TypedDict):
    type: Literal["history"]
    id: NotRequired[str]
    messages: list[HistoryMessage]
    nextCursor: NotRequired[str]
    atSeq: int


class Reconnect(TypedDict):
    type: Literal["reconnect"]
    afterMs: int
    reason: Literal["drain", "rebalance"]


class AuthExpiring(TypedDict):
    type: Literal["auth_expiring"]
    expiresAt: str


class ConfigChanged(TypedDict):
    type: Literal["config_changed"]
    version: int


class PingFrame(TypedDict):
    type: Literal["ping"]
    t: int


class PongFrame(TypedDict):
    type: Literal["pong"]
    t: int


DurableFrame = (
    Message | StreamStart | StreamChunk | StreamSnapshot | StreamReset | StreamComplete | StreamError | Source
)
EphemeralFrame = (
    Welcome | Ack | Error | AnimationFrame | TypingFrame | RateLimit | History | Reconnect | AuthExpiring | ConfigChanged
    | PingFrame | PongFrame
)  # fmt: skip
ServerFrame = DurableFrame | EphemeralFrame
TurnEvent = StreamStart | StreamChunk | StreamReset | Source | StreamComplete | StreamError
TERMINAL_TYPES = frozenset({"stream_complete", "stream_error"})

# Client -> server -----------------------------------------------------------------------------------------------------
_FORBID = ConfigDict(extra="forbid", strict=True)
CommandId = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")]
Reference = Annotated[str, Field(min_length=1, max_length=64)]
Seq = Annotated[int, Field(ge=0, lt=2**53)]


class Resume(TypedDict):
    __pydantic_config__ = _FORBID  # type: ignore[misc]
    epoch: Annotated[str, Field(max_length=64)]
    seq: Seq


class Caps(TypedDict):
    # Unknown capabilities are ignored by design: a newer widget may offer more than this server knows.
    __pydantic_config__ = ConfigDict(extra="ignore", strict=True)  # type: ignore[misc]
    coalesceMs: NotRequired[Annotated[int, Field(ge=0, le=5000)]]
    deltas: NotRequired[bool]
    cues: NotRequired[bool]
    visemes: NotRequired[bool]
    binary: NotRequired[bool]
    audio: NotRequired[Annotated[list[str], Field(max_length=8)]]
    tools: NotRequired[Annotated[list[str], Field(max_length=64)]]


class Client(TypedDict):
    __pydantic_config__ = _FORBID  # type: ignore[misc]
    name: Annotated[str, Field(max_length=64)]
    version: Annotated[str, Field(max_length=32)]


class Hello(TypedDict):
    __pydantic_config__ = _FORBID  # type: ignore[misc]
    type: Literal["hello"]
    v: int
    token: Annotated[str, Field(min_length=1, max_length=4096)]
    conversationId: NotRequired[Reference]
    resume: NotRequired[Resume]
    history: NotRequired[Annotated[int, Field(ge=0, le=50)]]
    caps: NotRequired[Caps]
    client: Client
    locale: NotRequired[Annotated[str, Field(max_length=35)]]
    page: NotRequired[Annotated[str, Field(max_length=2048)]]


class Heard(TypedDict):
    __pydantic_config__ = _FORBID  # type: ignore[misc]
    chars: NotRequired[Annotated[int, Field(ge=0, lt=2**31)]]
    audioMs: NotRequired[Annotated[int, Field(ge=0, lt=2**31)]]


class SendMessage(TypedDict):
    __pydantic_config__ = _FORBID  # type: ignore[misc]
    type: Literal["message"]
    id: CommandId
    text: str
    parentId: NotRequired[Reference]
    context: NotRequired[dict[str, Any]]


class Stop(TypedDict):
    __pydantic_config__ = _FORBID  # type: ignore[misc]
    type: Literal["stop"]
    id: CommandId
    streamId: Reference
    reason: Literal["user", "barge_in", "replace"]
    heard: NotRequired[Heard]


class Regenerate(TypedDict):
    __pydantic_config__ = _FORBID  # type: ignore[misc]
    type: Literal["regenerate"]
    id: CommandId
    messageId: Reference


class ClientTyping(TypedDict):
    __pydantic_config__ = _FORBID  # type: ignore[misc]
    type: Literal["typing"]
    state: Literal["on", "off"]


class Read(TypedDict):
    __pydantic_config__ = _FORBID  # type: ignore[misc]
    type: Literal["read"]
    messageId: Reference


class Feedback(TypedDict):
    __pydantic_config__ = _FORBID  # type: ignore[misc]
    type: Literal["feedback"]
    id: CommandId
    messageId: Reference
    rating: Literal["up", "down", 1, 2, 3, 4, 5]
    comment: NotRequired[Annotated[str, Field(max_length=2000)]]


class HistoryRequest(TypedDict):
    __pydantic_config__ = _FORBID  # type: ignore[misc]
    type: Literal["history"]
    id: CommandId
    before: NotRequired[Reference]
    limit: Annotated[int, Field(ge=1, le=100)]


class Sync(TypedDict):
    __pydantic_config__ = _FORBID  # type: ignore[misc]
    type: Literal["sync"]
    epoch: Annotated[str, Field(max_length=64)]
    seq: Seq


class AuthRefresh(TypedDict):
    __pydantic_config__ = _FORBID  # type: ignore[misc]
    type: Literal["auth_refresh"]
    id: CommandId
    token: NotRequired[Annotated[str, Field(min_length=1, max_length=4096)]]


class Seen(TypedDict):
    __pydantic_config__ = _FORBID  # type: ignore[misc]
    type: Literal["seen"]
    seq: Seq


class ClientPing(TypedDict):
    __pydantic_config__ = _FORBID  # type: ignore[misc]
    type: Literal["ping"]
    t: Annotated[int, Field(ge=0, lt=2**53)]


class ClientPong(TypedDict):
    __pydantic_config__ = _FORBID  # type: ignore[misc]
    type: Literal["pong"]
    t: Annotated[int, Field(ge=0, lt=2**53)]


ClientFrame = (
    Hello | SendMessage | Stop | Regenerate | ClientTyping | Read | Feedback | HistoryRequest | Sync | AuthRefresh | Seen
    | ClientPing | ClientPong
)  # fmt: skip

_CLIENT_TYPES: dict[str, Any] = {
    "hello": Hello,
    "message": SendMessage,
    "stop": Stop,
    "regenerate": Regenerate,
    "typing": ClientTyping,
    "read": Read,
    "feedback": Feedback,
    "history": HistoryRequest,
    "sync": Sync,
    "auth_refresh": AuthRefresh,
    "seen": Seen,
    "ping": ClientPing,
    "pong": ClientPong,
}
CLIENT_TYPES = frozenset(_CLIENT_TYPES)
# Part of protocol v1, offered by later features of a server (`welcome.features`): known by name, refused politely.
NOT_ENABLED_TYPES = frozenset(
    {"edit", "tool_result", "handover_request", "playback", "audio_start", "audio_end", "audio_cancel"}
)


class ClientFrames:
    """Checks client frames against the declarations above; made once per process."""

    def __init__(self) -> None:
        self._adapters = {name: TypeAdapter(kind) for name, kind in _CLIENT_TYPES.items()}

    def check(self, value: object) -> ClientFrame:
        """Return the frame, typed; raises BadMessage, UnknownType, UnknownField or NotPermitted."""
        if not isinstance(value, dict) or not isinstance(value.get("type"), str):
            raise errors.BadMessage("A frame is an object with a type.")
        kind = value["type"]
        adapter = self._adapters.get(kind)
        if adapter is None:
            raise (
                errors.NotPermitted(f"{kind} is not enabled here.")
                if kind in NOT_ENABLED_TYPES
                else errors.UnknownType()
            )
        try:
            return adapter.validate_python(value)  # type: ignore[no-any-return]
        except ValidationError as failure:
            raise _frame_error(failure) from None


def _frame_error(failure: ValidationError) -> errors.ParlourError:
    first = failure.errors(include_url=False, include_context=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return errors.UnknownField(f"The field {place!r} is not known.")
    return errors.BadMessage(f"{place}: {first['msg']}" if place else first["msg"])
