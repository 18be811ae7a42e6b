/** One visitor's conversation: the reducer's state, the connection beneath it, and what the visitor can do. */

import { computed, signal } from "@preact/signals";
import { Connection, newId } from "./connection";
import { Keeper } from "./keeper";
import type { Host, SendOptions } from "./options";
import { Player } from "./player";
import type { ServerFrame } from "./protocol";
import type { Status } from "./session";
import { type ChatMessage, type ChatState, EMPTY, isPending, type LocalAction, reduce } from "./state";

const TYPING_EVERY_MS = 3_000;
const CONTEXT_MOST_BYTES = 8_192;
const OLDER_PAGE = 30;

export class Conversation {
  readonly state = signal<ChatState>(EMPTY);
  readonly status = signal<Status>({ state: "idle", attempt: 0 });
  readonly player: Player;
  /** Something of the running answer is still to come or to be shown. */
  readonly answering = computed(() => {
    const shown = this.player.shown.value;
    return this.state.value.runningStreamId !== null || (shown !== null && !shown.done);
  });
  private readonly host: Host;
  private readonly keeper: Keeper;
  private readonly connection: Connection;
  private context: object | null = null;
  private typedAt = 0;
  private typing = false;
  private askedAt = 0;
  private ttftMs = 0;

  constructor(host: Host, locale: () => string, instant: () => boolean) {
    this.host = host;
    this.keeper = new Keeper(host.config.bot_id, host.options.storage ?? "local");
    this.player = new Player(instant, (name) => host.emit("cue", { name }));
    this.connection = new Connection({
      base: host.base,
      bot: host.config.bot_id,
      keeper: this.keeper,
      locale,
      onFrame: (frame) => this.take(frame),
      onStatus: (status) => this.note(status),
    });
  }

  get known(): boolean {
    return this.keeper.known;
  }

  connect(): void {
    this.connection.start();
  }

  destroy(): void {
    this.player.drop();
    this.connection.destroy();
  }

  // What the visitor does ---------------------------------------------------------------------------------------------
  send(text: string, { metadata }: SendOptions = {}): void {
    const trimmed = text.trim();
    if (!trimmed || !this.host.emit("beforesend", { text: trimmed }, true)) return;
    const id = newId();
    this.keeper.allow();
    this.act({ type: "local_send", id, text: trimmed, createdAt: new Date().toISOString() });
    this.sendMessage(id, trimmed, metadata);
    this.host.emit("message:sent", { id, text: trimmed });
  }

  retry(message: ChatMessage): void {
    if (!message.clientId) return;
    this.act({ type: "local_retry", id: message.clientId });
    this.sendMessage(message.clientId, message.text);
  }

  discard(message: ChatMessage): void {
    if (message.clientId) this.act({ type: "local_discard", id: message.clientId });
  }

  stop(): void {
    const streamId = this.state.value.runningStreamId;
    const shown = this.player.shown.value;
    if (streamId) {
      const heard = shown?.streamId === streamId ? { heard: { chars: shown.chars } } : {};
      this.connection.send({ type: "stop", id: newId(), streamId, reason: "user", ...heard });
    }
    this.player.showAll();
  }

  regenerate(message: ChatMessage): void {
    if (!message.messageId) return;
    this.askedAt = performance.now();
    this.connection.send({ type: "regenerate", id: newId(), messageId: message.messageId });
  }

  rate(message: ChatMessage, rating: "up" | "down"): void {
    if (!message.messageId) return;
    this.act({ type: "local_rate", messageId: message.messageId, rating });
    this.connection.send({ type: "feedback", id: newId(), messageId: message.messageId, rating });
    this.host.emit("feedback", { messageId: message.messageId, rating });
  }

  loadOlder(): void {
    const before = this.state.value.messages.find((one) => one.messageId)?.messageId;
    this.connection.send({ type: "history", id: newId(), limit: OLDER_PAGE, ...(before ? { before } : {}) });
  }

  newConversation(): void {
    this.player.drop();
    this.act({ type: "local_new_conversation" });
    this.connection.newConversation();
    this.host.emit("conversation:start", {});
  }

  reconnect(): void {
    this.act({ type: "local_dismiss" });
    this.connection.start();
  }

  /** The visitor is writing, or has stopped. */
  type(on: boolean): void {
    const now = performance.now();
    const due = on ? !this.typing || now - this.typedAt > TYPING_EVERY_MS : this.typing;
    if (!due || this.status.value.state !== "online") return;
    this.typing = on;
    this.typedAt = now;
    this.connection.send({ type: "typing", state: on ? "on" : "off" });
  }

  setContext(context: object): void {
    if (JSON.stringify(context).length <= CONTEXT_MOST_BYTES) this.context = context;
    else console.warn("[Parlour] setContext takes at most 8 KB; ignored.");
  }

  private sendMessage(id: string, text: string, metadata?: SendOptions["metadata"]): void {
    const context = this.context || metadata ? { ...this.context, ...metadata } : null;
    this.typing = false;
    this.askedAt = performance.now();
    this.connection.send({ type: "message", id, text, ...(context ? { context } : {}) });
  }

  // What the server says ----------------------------------------------------------------------------------------------
  private act(input: ServerFrame | LocalAction): void {
    this.state.value = reduce(this.state.value, input);
  }

  private take(frame: ServerFrame): void {
    const before = this.state.value;
    this.act(frame);
    // A resumed:false welcome leaves no stream to go on with; its snapshot starts it anew.
    if (frame.type === "welcome" && !frame.resumed) this.player.drop();
    if ("streamId" in frame) {
      const message = this.state.value.messages.find((one) => one.streamId === frame.streamId);
      if (message) this.player.take(frame, message.text);
      this.tellStream(frame, message);
      if (message?.damaged) this.connection.send({ type: "history", id: newId(), limit: OLDER_PAGE });
    } else this.player.take(frame, "");
    this.tell(frame, before);
  }

  private note(status: Status): void {
    this.status.value = status;
    this.host.emit("connection", { state: status.state, attempt: status.attempt });
    if (status.state === "stopped") this.host.emit("error", { code: status.code ?? "stopped" });
  }

  private tell(frame: ServerFrame, before: ChatState): void {
    if (frame.type === "message" && frame.role !== "user") this.host.emit("message:received", { ...frame });
    if (frame.type === "error") this.host.emit("error", { code: frame.code });
    if (frame.type === "rate_limit") this.host.emit("limit", { kind: frame.scope, retryAfterMs: frame.resetMs });
    if (frame.type === "welcome" && before.botName === null) this.host.emit("conversation:start", {});
  }

  private tellStream(frame: ServerFrame, message: ChatMessage | undefined): void {
    if (frame.type === "stream_start") {
      this.ttftMs = 0;
      this.host.emit("response:start", { messageId: frame.messageId });
    } else if (frame.type === "stream_chunk" && frame.chunk && !this.ttftMs && this.askedAt) {
      this.ttftMs = Math.round(performance.now() - this.askedAt);
    } else if (frame.type === "stream_complete" && message) {
      const { ttftMs } = this;
      const cached = frame.cached ?? false;
      this.host.emit("response:end", { messageId: frame.messageId, ttftMs, cached, citations: message.citations });
      this.host.emit("message:received", { messageId: frame.messageId, text: message.text });
    }
  }
}

export const lastAnswer = (state: ChatState) => state.messages.findLast((one) => one.role === "assistant");
export const waitingCount = (state: ChatState) => state.messages.filter(isPending).length;
