/**
 * What the chat shows, as one pure reducer over the server's frames and the visitor's own actions.
 *
 * Frames arrive here in order and once (see session.ts). Unknown types change nothing.
 */

import type {
  Author,
  Citation,
  FinishReason,
  FrameLimits,
  HistoryFrame,
  HistoryMessage,
  MessageFrame,
  ServerFrame,
  StreamSnapshot,
  StreamStart,
  Welcome,
} from "./protocol";

export type Delivery =
  | "sending" // ours, not yet acknowledged
  | "queued" // ours, waiting for capacity or for the running answer
  | "sent"
  | "failed" // ours, refused: see error
  | "thinking" // an answer without text so far
  | "streaming"
  | "complete"
  | "interrupted"
  | "broken"; // an answer that ended in an error

export interface ChatError {
  readonly code: string;
  readonly message: string;
  readonly retryable: boolean;
  readonly retryAfterMs?: number;
}

export interface ChatMessage {
  /** Stable over the message's life: what the list is keyed by. */
  readonly key: string;
  readonly role: "user" | "assistant" | "system";
  readonly author: Author;
  readonly text: string;
  readonly delivery: Delivery;
  readonly messageId?: string;
  readonly clientId?: string;
  readonly streamId?: string;
  readonly replyTo?: string;
  readonly createdAt?: string;
  readonly citations: readonly Citation[];
  readonly suggestions: readonly string[];
  readonly finishReason?: FinishReason;
  readonly error?: ChatError;
  readonly rating?: "up" | "down";
  /** The text does not have the length the server says: fetch it again. */
  readonly damaged?: boolean;
}

export interface ChatState {
  readonly messages: readonly ChatMessage[];
  /** The stream that runs now. */
  readonly runningStreamId: string | null;
  readonly limits: FrameLimits | null;
  readonly features: readonly string[];
  readonly botName: string | null;
  /** The log could not be continued: the next history replaces what is here. */
  readonly stale: boolean;
  /** There are messages before the first one. */
  readonly hasOlder: boolean;
  readonly humanTyping: boolean;
  /** A problem of the connection, not of one message. */
  readonly notice: ChatError | null;
}

export type LocalAction =
  | { readonly type: "local_send"; readonly id: string; readonly text: string; readonly createdAt: string }
  | { readonly type: "local_retry"; readonly id: string }
  | { readonly type: "local_discard"; readonly id: string }
  | { readonly type: "local_rate"; readonly messageId: string; readonly rating: "up" | "down" }
  | { readonly type: "local_dismiss" }
  | { readonly type: "local_new_conversation" };

export const EMPTY: ChatState = {
  messages: [],
  runningStreamId: null,
  limits: null,
  features: [],
  botName: null,
  stale: false,
  hasOlder: false,
  humanTyping: false,
  notice: null,
};

const OURS_UNANSWERED = new Set<Delivery>(["sending", "queued", "failed"]);
const RUNNING = new Set<Delivery>(["thinking", "streaming"]);
const BOT: Author = { kind: "bot" };
const VISITOR: Author = { kind: "visitor" };

export const isPending = (message: ChatMessage) => message.role === "user" && OURS_UNANSWERED.has(message.delivery);
export const isRunning = (message: ChatMessage) => RUNNING.has(message.delivery);

export function reduce(state: ChatState, input: ServerFrame | LocalAction): ChatState {
  switch (input.type) {
    case "welcome":
      return welcome(state, input);
    case "history":
      return history(state, input);
    case "message":
      return message(state, input);
    case "stream_start":
      return streamStart(state, input);
    case "stream_chunk":
      return changeStream(state, input.streamId, (one) => withText(one, joined(one.text, input.chunk, input.pos)));
    case "stream_snapshot":
      return snapshot(state, input);
    case "stream_reset":
      return changeStream(state, input.streamId, (one) => withText(one, one.text.slice(0, input.keepChars)));
    case "source":
      return changeStream(state, input.streamId, (one) => ({ ...one, citations: withCitation(one.citations, input) }));
    case "stream_complete":
      return ended(state, input.streamId, (one) => ({
        ...one,
        delivery: "complete",
        finishReason: input.finishReason,
        citations: input.citations ?? one.citations,
        suggestions: input.suggestions ?? [],
        ...(one.text.length === input.chars ? {} : { damaged: true }),
      }));
    case "stream_error":
      return ended(state, input.streamId, (one) => ({
        ...one,
        delivery: "broken",
        error: { code: input.code, message: input.error, retryable: input.retryable },
      }));
    case "ack":
      return changeOurs(state, input.id, (one) => ({
        ...one,
        delivery: input.queued ? "queued" : "sent",
        ...(input.messageId ? { messageId: input.messageId } : {}),
      }));
    case "error":
      return failed(state, input);
    case "rate_limit":
      return state;
    case "typing":
      return input.who === "visitor" ? state : { ...state, humanTyping: input.state === "on" };
    case "local_send":
      return { ...state, notice: null, messages: [...state.messages, ours(input.id, input.text, input.createdAt)] };
    case "local_retry":
      return changeOurs(state, input.id, ({ error: _gone, ...one }) => ({ ...one, delivery: "sending" }));
    case "local_discard":
      return { ...state, messages: state.messages.filter((one) => one.clientId !== input.id) };
    case "local_rate":
      return changeWhere(
        state,
        (one) => one.messageId === input.messageId,
        (one) => ({ ...one, rating: input.rating }),
      );
    case "local_dismiss":
      return { ...state, notice: null };
    case "local_new_conversation":
      return { ...EMPTY, limits: state.limits, features: state.features, botName: state.botName };
    // These concern the connection or the avatar, not the transcript.
    case "animation":
    case "reconnect":
    case "auth_expiring":
    case "config_changed":
    case "ping":
    case "pong":
      return state;
    default:
      input satisfies never;
      return state;
  }
}

// Connection ----------------------------------------------------------------------------------------------------------
function welcome(state: ChatState, frame: Welcome): ChatState {
  const next = { ...state, limits: frame.limits, features: frame.features, botName: frame.bot.name, notice: null };
  if (frame.resumed) return next;
  const kept = state.messages.filter((one) => !isRunning(one));
  return { ...next, messages: kept, runningStreamId: null, stale: true, humanTyping: false };
}

function history(state: ChatState, frame: HistoryFrame): ChatState {
  const hasOlder = frame.nextCursor !== undefined;
  if (state.stale) return { ...state, stale: false, hasOlder, messages: rebuilt(state.messages, frame.messages) };
  const oldest = state.messages.find((one) => one.messageId)?.messageId;
  const reachesBack = !frame.messages.some((one) => one.messageId === oldest);
  return {
    ...state,
    messages: merged(state.messages, frame.messages),
    hasOlder: reachesBack ? hasOlder : state.hasOlder,
  };
}

/** The history's messages, then ours that nobody has acknowledged; known messages keep their key. */
function rebuilt(known: readonly ChatMessage[], given: readonly HistoryMessage[]): ChatMessage[] {
  const clientIds = new Set(given.map((one) => one.clientId));
  const messages = given.map((one) => fromHistory(one, known.find(sameAs(one))));
  return [...messages, ...known.filter((one) => isPending(one) && !clientIds.has(one.clientId))];
}

/** Replace what is known, put what is not before it: a page of history is always older than what is shown. */
function merged(known: readonly ChatMessage[], given: readonly HistoryMessage[]): ChatMessage[] {
  const fresh = given.filter((one) => !known.some(sameAs(one))).map((one) => fromHistory(one));
  const updated = known.map((one) => {
    const newer = isRunning(one) ? undefined : given.find((other) => sameAs(other)(one));
    return newer ? fromHistory(newer, one) : one;
  });
  return [...fresh, ...updated];
}

const sameAs = (given: { messageId: string; clientId?: string }) => (one: ChatMessage) =>
  one.messageId === given.messageId || (given.clientId !== undefined && one.clientId === given.clientId);

function fromHistory(given: HistoryMessage, known?: ChatMessage): ChatMessage {
  const delivery = given.role === "user" ? "sent" : given.status === "interrupted" ? "interrupted" : "complete";
  return {
    key: known?.key ?? given.messageId,
    messageId: given.messageId,
    role: given.role,
    author: given.author,
    text: given.text,
    delivery,
    createdAt: given.createdAt,
    citations: given.citations ?? [],
    suggestions: given.suggestions ?? known?.suggestions ?? [],
    ...(given.clientId ? { clientId: given.clientId } : {}),
    ...withRating(given.rating ?? known?.rating),
    ...(known?.replyTo ? { replyTo: known.replyTo } : {}),
  };
}

const withRating = (rating: ChatMessage["rating"]) => (rating ? { rating } : {});

// Messages ------------------------------------------------------------------------------------------------------------
function ours(id: string, text: string, createdAt: string): ChatMessage {
  return {
    key: id,
    clientId: id,
    role: "user",
    author: VISITOR,
    text,
    createdAt,
    delivery: "sending",
    citations: [],
    suggestions: [],
  };
}

function message(state: ChatState, frame: MessageFrame): ChatState {
  const known = state.messages.find(sameAs(frame));
  const { clientId } = frame;
  const next: ChatMessage = {
    key: known?.key ?? frame.messageId,
    messageId: frame.messageId,
    role: frame.role,
    author: frame.author,
    text: frame.text,
    delivery: frame.role === "user" ? "sent" : "complete",
    citations: known?.citations ?? [],
    suggestions: known?.suggestions ?? [],
    ...(known?.createdAt ? { createdAt: known.createdAt } : {}),
    ...(clientId ? { clientId } : {}),
    ...withRating(known?.rating),
  };
  if (known && !isPending(known)) return { ...state, messages: replaced(state.messages, known, next) };
  return placed(state, next, known ? state.messages.indexOf(known) : Infinity);
}

/**
 * After everything the log holds, before what we have not been told is in it. Messages that failed stay where they
 * are, and one that has a place (`from`) does not pass them.
 */
function placed(state: ChatState, next: ChatMessage, from: number): ChatState {
  const messages = state.messages.filter((one) => one.key !== next.key);
  const waiting = messages.findIndex((one) => isPending(one) && one.delivery !== "failed");
  const after = messages.findLastIndex((one) => !isPending(one)) + 1;
  const before = waiting < 0 ? messages.length : waiting;
  messages.splice(Math.max(after, Math.min(before, from)), 0, next);
  return { ...state, messages };
}

/** Right below its question, which is not the last one when another is on its way. */
function placedAnswer(state: ChatState, next: ChatMessage): ChatState {
  const question = state.messages.findIndex((one) => one.messageId === next.replyTo);
  return placed(state, next, question < 0 ? Infinity : question + 1);
}

function replaced(messages: readonly ChatMessage[], old: ChatMessage, next: ChatMessage): ChatMessage[] {
  return messages.map((one) => (one === old ? next : one));
}

function failed(state: ChatState, frame: ServerFrame & { type: "error" }): ChatState {
  const { id, code, message: text, retryable, retryAfterMs } = frame;
  const error: ChatError = { code, message: text, retryable, ...(retryAfterMs ? { retryAfterMs } : {}) };
  const known = id !== undefined && state.messages.some((one) => one.clientId === id && isPending(one));
  if (known) return changeOurs(state, id, (one) => ({ ...one, delivery: "failed", error }));
  return { ...state, notice: error };
}

function changeOurs(state: ChatState, id: string, change: (one: ChatMessage) => ChatMessage): ChatState {
  return changeWhere(state, (one) => one.clientId === id && isPending(one), change);
}

function changeWhere(
  state: ChatState,
  matches: (one: ChatMessage) => boolean,
  change: (one: ChatMessage) => ChatMessage,
): ChatState {
  if (!state.messages.some(matches)) return state;
  return { ...state, messages: state.messages.map((one) => (matches(one) ? change(one) : one)) };
}

// Streams -------------------------------------------------------------------------------------------------------------
type StreamHead = Pick<StreamStart, "streamId" | "messageId" | "replyTo">;

function answer(frame: StreamHead, text: string, citations: readonly Citation[]): ChatMessage {
  return {
    key: frame.messageId,
    messageId: frame.messageId,
    streamId: frame.streamId,
    replyTo: frame.replyTo,
    role: "assistant",
    author: BOT,
    text,
    delivery: text ? "streaming" : "thinking",
    citations,
    suggestions: [],
  };
}

/** The visitor's messages that this answer is a reply to are plainly sent. */
function settleQuestion(state: ChatState, replyTo: string): ChatState {
  return changeWhere(
    state,
    (one) => one.messageId === replyTo && one.delivery === "queued",
    (one) => ({
      ...one,
      delivery: "sent",
    }),
  );
}

function streamStart(before: ChatState, frame: StreamStart): ChatState {
  const state = settleQuestion(before, frame.replyTo);
  const known = state.messages.find((one) => one.messageId === frame.messageId);
  if (known && !known.streamId) return state; // history has it complete
  const next = answer(frame, "", []);
  // Without `replaces` nobody is meant, not the message of ours that has no id yet.
  const old = known ?? (frame.replaces && state.messages.find((one) => one.messageId === frame.replaces));
  const running = { ...state, runningStreamId: frame.streamId };
  if (old) return { ...running, messages: replaced(state.messages, old, next) };
  return placedAnswer(running, next);
}

function snapshot(state: ChatState, frame: StreamSnapshot): ChatState {
  const known = state.messages.find((one) => one.messageId === frame.messageId);
  if (known && !known.streamId) return state;
  const next = answer(frame, frame.text, frame.sources ?? known?.citations ?? []);
  const running = { ...settleQuestion(state, frame.replyTo), runningStreamId: frame.streamId };
  if (known) return { ...running, messages: replaced(running.messages, known, { ...next, key: known.key }) };
  return placedAnswer(running, next);
}

function changeStream(state: ChatState, streamId: string, change: (one: ChatMessage) => ChatMessage): ChatState {
  return changeWhere(state, (one) => one.streamId === streamId && isRunning(one), change);
}

function ended(state: ChatState, streamId: string, change: (one: ChatMessage) => ChatMessage): ChatState {
  const next = changeStream(state, streamId, change);
  return state.runningStreamId === streamId ? { ...next, runningStreamId: null } : next;
}

/** `pos` makes a merged frame exact even where it overlaps what is known. */
function joined(text: string, chunk: string, pos: number | undefined): string {
  return (pos === undefined ? text : text.slice(0, pos)) + chunk;
}

function withText(one: ChatMessage, text: string): ChatMessage {
  return { ...one, text, delivery: text ? "streaming" : one.delivery };
}

function withCitation(citations: readonly Citation[], frame: ServerFrame & { type: "source" }): Citation[] {
  const { type: _type, streamId: _stream, seq: _seq, ...citation } = frame;
  return [...citations.filter((one) => one.n !== citation.n), citation].sort((a, b) => a.n - b.n);
}
