/**
 * The client's half of protocol v1 without any I/O: `handle(input, now)` returns what the shell shall do.
 *
 * It owns the position in the conversation's log, so what it delivers is in order and exactly once, over however many
 * connections it took. It owns the outbox, so a command is sent again, with the same id, until it is answered.
 */

import { type ClientFrame, PROTOCOL_VERSION, type ServerFrame, type Welcome } from "./protocol";

export type Via = "socket" | "events";

export interface Token {
  readonly token: string;
  /** Epoch ms. */
  readonly expiresAt: number;
  readonly conversationId: string;
  readonly websocketUrl: string;
  readonly eventsUrl: string;
}

export type State = "idle" | "connecting" | "online" | "waiting" | "suspended" | "stopped";

export interface Status {
  readonly state: State;
  readonly attempt: number;
  /** The device itself has no network. */
  readonly offline?: boolean;
  /** Why it stopped. */
  readonly code?: string;
}

export type Timer =
  | "open"
  | "welcome"
  | "retry"
  | "settled"
  | "heartbeat"
  | "probe"
  | "sync"
  | "seen"
  | "rebalance"
  | "resend";

export type Input =
  | { readonly type: "start" | "stop" | "wake" | "suspend" | "offline" | "network" | "new_conversation" }
  | { readonly type: "token"; readonly token: Token }
  | { readonly type: "token_failed"; readonly status: number; readonly code: string; readonly retryAfterMs?: number }
  | { readonly type: "opened" | "alive"; readonly link: number }
  | { readonly type: "frame"; readonly link: number; readonly frame: ServerFrame }
  | { readonly type: "closed"; readonly link: number; readonly code: number; readonly reason: string }
  | { readonly type: "timer"; readonly name: Timer }
  | { readonly type: "command"; readonly frame: ClientFrame };

export type Effect =
  | { readonly type: "fetch_token"; readonly newConversation: boolean; readonly forgetVisitor: boolean }
  | {
      readonly type: "open";
      readonly link: number;
      readonly via: Via;
      readonly token: Token;
      readonly position: Position | null;
    }
  | { readonly type: "send"; readonly link: number; readonly frame: ClientFrame }
  | { readonly type: "close"; readonly link: number; readonly code: number }
  | { readonly type: "timer"; readonly name: Timer; readonly ms: number }
  | { readonly type: "cancel"; readonly name: Timer }
  | { readonly type: "deliver"; readonly frame: ServerFrame }
  | { readonly type: "status"; readonly status: Status };

/** Where this client stands in the conversation's log. */
export interface Position {
  readonly epoch: string;
  readonly seq: number;
}

export interface Identity {
  readonly version: string;
  readonly locale: string;
  readonly page: string;
}

export const OPEN_MS = 3_000;
export const EVENTS_OPEN_MS = 10_000;
export const WELCOME_MS = 10_000;
export const SETTLED_MS = 5_000;
export const PROBE_MS = 3_000;
export const HEARTBEAT_GRACE_MS = 8_000;
export const SYNC_EVERY_MS = 500;
export const SYNC_PATIENCE_MS = 5_000;
export const SEEN_MS = 5_000;
export const SEEN_EVENTS = 32;
export const BACKOFF_FIRST_MS = 300;
export const BACKOFF_MOST_MS = 30_000;
/** A server that said it restarts is back soon. */
export const RESTART_MOST_MS = 3_000;
export const RESTART_ATTEMPTS = 10;
export const RESEND_TIMES = 3;
export const RESEND_MS = 1_000;
/** Who is told to wait longer than this is asked instead. */
export const RESEND_MOST_MS = 15_000;
const TOKEN_MARGIN_MS = 20_000;
const SOCKET_FAILURES_BEFORE_EVENTS = 2;
/** Closed by us: normal, and "I heard nothing from you". */
const NORMAL = 1000;
const NO_PONG = 4012;

const RESENT = new Set([
  "message",
  "edit",
  "regenerate",
  "feedback",
  "tool_result",
  "handover_request",
  "history",
  "stop",
]);
const RESTARTING = new Set([1001, 1012, 4001]);
/** Close codes after which the newest command is taken as the cause and not sent again. */
const CAUSED_BY_COMMAND = new Set([1002, 1003, 1007, 1008, 1009]);

export type Verdict = "apply" | "duplicate" | "gap";

/** Protocol 5: what to do with a numbered frame when the last applied one was `last`. */
export function admit(
  last: number,
  frame: { readonly type: string; readonly seq: number; readonly from?: number },
): Verdict {
  if (frame.type === "stream_snapshot" && frame.seq === last) return "apply";
  if (frame.seq <= last) return "duplicate";
  return (frame.from ?? frame.seq) <= last + 1 ? "apply" : "gap";
}

export class Session {
  private state: State = "idle";
  private token: Token | null = null;
  private position: Position | null = null;
  private readonly outbox = new Map<string, ClientFrame>();
  /** How often the server could not take a message yet. */
  private readonly refused = new Map<string, number>();
  /** The welcomed connection, 0 = none. */
  private live = 0;
  /** The connection being opened, 0 = none; beside a live one while a server drains. */
  private next = 0;
  private links = 0;
  private via: Via = "socket";
  private liveVia: Via = "socket";
  private attempt = 0;
  private restarting = false;
  private offline = false;
  private socketFailures = 0;
  private socketWorked = false;
  private freshTokenTried = false;
  private forgetTried = false;
  private newConversation = false;
  private lastSent = "";
  private heartbeatMs = 25_000;
  private lastHeard = 0;
  private lastSync = 0;
  private behind = false;
  private unseen = 0;
  private effects: Effect[] = [];
  private now = 0;
  private readonly identity: () => Identity;
  private readonly random: () => number;

  constructor(identity: () => Identity, random: () => number) {
    this.identity = identity;
    this.random = random;
  }

  /** Take one input at `now` (ms); returns the effects in order. */
  handle(input: Input, now: number): Effect[] {
    this.now = now;
    this.effects = [];
    this.take(input);
    return this.effects;
  }

  private take(input: Input): void {
    switch (input.type) {
      case "start":
        if (this.state === "idle" || this.state === "stopped" || this.state === "suspended") this.connect();
        return;
      case "stop":
        this.end("idle");
        return;
      case "suspend":
        if (this.state !== "idle" && this.state !== "stopped") this.end("suspended");
        return;
      case "wake":
        this.wake();
        return;
      case "offline":
        this.loseNetwork();
        return;
      case "network":
        this.findNetwork();
        return;
      case "new_conversation":
        this.startAnew();
        return;
      case "token":
        this.adopt(input.token);
        return;
      case "token_failed":
        this.tokenFailed(input.status, input.code, input.retryAfterMs);
        return;
      case "opened":
        this.opened(input.link);
        return;
      case "alive":
        if (input.link === this.live) this.heard();
        return;
      case "frame":
        this.received(input.link, input.frame);
        return;
      case "closed":
        this.closed(input.link, input.code, input.reason);
        return;
      case "timer":
        this.fired(input.name);
        return;
      case "command":
        this.command(input.frame);
        return;
      default:
        input satisfies never;
    }
  }

  private do(effect: Effect): void {
    this.effects.push(effect);
  }

  private enter(state: State, code?: string): void {
    this.state = state;
    const { attempt, offline } = this;
    this.do({ type: "status", status: { state, attempt, ...(offline && { offline }), ...(code && { code }) } });
  }

  // Connecting --------------------------------------------------------------------------------------------------------
  private connect(): void {
    this.do({ type: "cancel", name: "retry" });
    this.enter("connecting");
    if (this.token && this.token.expiresAt - this.now > TOKEN_MARGIN_MS) this.open();
    else this.fetchToken(false);
  }

  private fetchToken(forgetVisitor: boolean): void {
    this.token = null;
    this.do({ type: "fetch_token", newConversation: this.newConversation, forgetVisitor });
  }

  private adopt(token: Token): void {
    if (this.state !== "connecting") return;
    if (this.token && this.token.conversationId !== token.conversationId) this.position = null;
    this.token = token;
    this.newConversation = false;
    this.open();
  }

  private tokenFailed(status: number, code: string, retryAfterMs = 0): void {
    if (this.state !== "connecting") return;
    if (status === 401 && !this.forgetTried) {
      // What we stored is no longer honoured: be a new visitor rather than no visitor.
      this.forgetTried = true;
      this.position = null;
      this.fetchToken(true);
    } else if (status === 0 || status === 408 || status === 429 || status >= 500) this.wait(retryAfterMs);
    else this.stopFor(code);
  }

  private open(): void {
    if (!this.token) return;
    this.next = ++this.links;
    this.do({ type: "open", link: this.next, via: this.via, token: this.token, position: this.position });
    this.do({ type: "timer", name: "open", ms: this.via === "socket" ? OPEN_MS : EVENTS_OPEN_MS });
  }

  private opened(link: number): void {
    if (link !== this.next) return;
    this.do({ type: "cancel", name: "open" });
    this.do({ type: "timer", name: "welcome", ms: WELCOME_MS });
    if (this.via === "socket" && this.token) this.do({ type: "send", link, frame: this.hello(this.token) });
  }

  private hello(token: Token): ClientFrame {
    const { version, locale, page } = this.identity();
    return {
      type: "hello",
      v: PROTOCOL_VERSION,
      token: token.token,
      conversationId: token.conversationId,
      ...(this.position ? { resume: { ...this.position } } : {}),
      history: 30,
      caps: { cues: true },
      client: { name: "widget", version },
      locale,
      page,
    };
  }

  private welcomed(link: number, welcome: Welcome): void {
    const before = this.live;
    if (link === this.next) {
      this.next = 0;
      this.live = link;
      this.liveVia = this.via;
      this.socketFailures = 0;
      if (this.via === "socket") this.socketWorked = true;
      if (before) this.do({ type: "close", link: before, code: NORMAL });
      this.do({ type: "cancel", name: "welcome" });
      this.do({ type: "timer", name: "settled", ms: SETTLED_MS });
    }
    this.heartbeatMs = welcome.heartbeatMs || this.heartbeatMs;
    this.heard();
    this.do({ type: "timer", name: "heartbeat", ms: this.silenceMs() });
    if (!(welcome.resumed && this.position?.epoch === welcome.epoch)) {
      this.position = { epoch: welcome.epoch, seq: welcome.seq };
    }
    this.caughtUp();
    this.offline = false;
    this.enter("online");
    this.do({ type: "deliver", frame: welcome });
    this.resend(welcome.activeStream?.streamId);
  }

  private resend(running: string | undefined): void {
    this.do({ type: "cancel", name: "resend" });
    for (const [id, frame] of this.outbox) {
      if (frame.type === "stop" && frame.streamId !== running) this.outbox.delete(id);
      else this.send(frame);
    }
  }

  // Losing and finding ------------------------------------------------------------------------------------------------
  private closed(link: number, code: number, reason: string): void {
    if (link === this.next) {
      this.next = 0;
      this.do({ type: "cancel", name: "open" });
      this.do({ type: "cancel", name: "welcome" });
      if (this.live) this.do({ type: "timer", name: "rebalance", ms: this.backoff() });
      else {
        if (code === 1006) this.noteFailedOpening();
        this.lost(code, reason);
      }
    } else if (link === this.live) {
      this.forgetLive();
      if (RESTARTING.has(code)) this.expectBack();
      if (!this.next) this.lost(code, reason);
    }
  }

  /** The server goes in good order: begin at the low end, once, so that a server in a loop is not hammered. */
  private expectBack(): void {
    if (!this.restarting) this.attempt = 0;
    this.restarting = true;
  }

  private noteFailedOpening(): void {
    if (this.via === "events") this.via = "socket";
    else if (!this.socketWorked && ++this.socketFailures >= SOCKET_FAILURES_BEFORE_EVENTS) {
      this.via = "events";
      this.socketFailures = 0;
    }
  }

  /** Protocol 8: 1000 and 4500-4999 end it, everything else comes back. */
  private lost(code: number, reason: string): void {
    const { code: name, retryAfterMs } = parseReason(reason);
    if (CAUSED_BY_COMMAND.has(code)) this.dropCause(code);
    if (code === NORMAL) this.enter("idle");
    else if (code === 4500 && !this.freshTokenTried) {
      this.freshTokenTried = true;
      this.token = null;
      this.connect();
    } else if (code >= 4500 && code <= 4999) this.stopFor(name || String(code));
    else {
      if (code === 4014) this.token = null;
      this.wait(retryAfterMs);
    }
  }

  private dropCause(code: number): void {
    const cause = this.outbox.get(this.lastSent);
    if (!cause) return;
    this.answered(this.lastSent);
    const name = code === 1009 ? "too_long" : "bad_message";
    this.do({
      type: "deliver",
      frame: { type: "error", id: this.lastSent, code: name, message: "", retryable: false },
    });
  }

  private wait(atLeastMs = 0): void {
    this.enter("waiting");
    this.do({ type: "timer", name: "retry", ms: Math.max(this.backoff(), atLeastMs) });
  }

  /** Full jitter: anywhere between nothing and the ceiling, which doubles with each attempt. */
  private backoff(): number {
    const most = this.restarting && this.attempt < RESTART_ATTEMPTS ? RESTART_MOST_MS : BACKOFF_MOST_MS;
    const ceiling = Math.min(most, BACKOFF_FIRST_MS * 2 ** Math.min(this.attempt++, 10));
    return Math.round(this.random() * ceiling);
  }

  private stopFor(code: string): void {
    this.end("stopped", code);
    this.token = null;
  }

  private end(state: "idle" | "suspended" | "stopped", code?: string): void {
    this.leave();
    this.enter(state, code);
  }

  private leave(): void {
    for (const link of [this.live, this.next]) if (link) this.do({ type: "close", link, code: NORMAL });
    this.next = 0;
    this.forgetLive();
    for (const name of ["open", "welcome", "retry", "rebalance"] as const) this.do({ type: "cancel", name });
  }

  private forgetLive(): void {
    this.live = 0;
    this.unseen = 0;
    for (const name of ["settled", "heartbeat", "probe", "sync", "seen", "resend"] as const)
      this.do({ type: "cancel", name });
  }

  /** The live connection does not answer: leave it and come back with the position we hold. */
  private abandon(): void {
    if (!this.live) return;
    this.do({ type: "close", link: this.live, code: NO_PONG });
    this.forgetLive();
    if (!this.next) this.wait();
  }

  private wake(): void {
    if (this.state === "waiting" || this.state === "suspended") this.connect();
    else if (this.live && this.liveVia === "socket") {
      this.do({ type: "send", link: this.live, frame: { type: "ping", t: Math.floor(this.now) } });
      this.do({ type: "timer", name: "probe", ms: PROBE_MS });
    }
  }

  /** What was open is dead, though it would take the browser long to notice. */
  private loseNetwork(): void {
    this.offline = true;
    const had = this.live || this.next || this.state === "waiting";
    this.leave();
    if (had) this.wait();
    else if (this.state !== "stopped") this.enter(this.state);
  }

  private findNetwork(): void {
    if (this.offline) {
      this.loseNetwork(); // an attempt that began without one would take its whole time to fail
      this.offline = false;
      this.attempt = 0;
      if (this.state !== "stopped") this.enter(this.state);
    }
    this.wake();
  }

  private startAnew(): void {
    this.outbox.clear();
    this.refused.clear();
    this.end("idle");
    this.position = null;
    this.newConversation = true;
    this.token = null;
    this.connect();
  }

  private fired(name: Timer): void {
    switch (name) {
      case "open":
      case "welcome":
        if (!this.next) return;
        this.do({ type: "close", link: this.next, code: NORMAL });
        this.closed(this.next, name === "open" ? 1006 : 4408, "");
        return;
      case "retry":
        if (this.state === "waiting") this.connect();
        return;
      case "settled":
        this.attempt = 0;
        this.restarting = false;
        this.freshTokenTried = false;
        this.forgetTried = false;
        return;
      case "heartbeat":
        this.checkHeartbeat();
        return;
      case "probe":
      case "sync":
        this.abandon();
        return;
      case "seen":
        this.sendSeen();
        return;
      case "rebalance":
        if (this.live && !this.next) this.open();
        return;
      case "resend":
        this.resendRefused();
        return;
      default:
        name satisfies never;
    }
  }

  private silenceMs(): number {
    return this.heartbeatMs + HEARTBEAT_GRACE_MS;
  }

  private checkHeartbeat(): void {
    const left = this.silenceMs() - (this.now - this.lastHeard);
    if (left <= 0) this.abandon();
    else this.do({ type: "timer", name: "heartbeat", ms: left });
  }

  private heard(): void {
    this.lastHeard = this.now;
    this.do({ type: "cancel", name: "probe" });
  }

  // Frames in ---------------------------------------------------------------------------------------------------------
  private received(link: number, frame: ServerFrame): void {
    if (link !== this.live && link !== this.next) return;
    if (frame.type === "welcome") {
      this.welcomed(link, frame);
      return;
    }
    if (link === this.live) this.heard();
    switch (frame.type) {
      case "ping":
        if (this.via === "socket") this.do({ type: "send", link, frame: { type: "pong", t: frame.t } });
        return;
      case "pong":
        return;
      case "reconnect":
        this.expectBack();
        this.do({ type: "timer", name: "rebalance", ms: frame.afterMs });
        return;
      case "auth_expiring":
        this.send({ type: "auth_refresh", id: makeId(this.now, this.random) });
        return;
      case "ack":
        this.answered(frame.id);
        if (frame.token && this.token) {
          this.token = { ...this.token, token: frame.token, expiresAt: Date.parse(frame.expiresAt ?? "") || 0 };
        }
        this.do({ type: "deliver", frame });
        return;
      case "error":
        if (this.postpone(frame)) return;
        this.answered(frame.id);
        this.do({ type: "deliver", frame });
        return;
      case "history":
        this.answered(frame.id);
        this.do({ type: "deliver", frame });
        return;
      default:
        this.number(frame);
    }
  }

  private number(frame: ServerFrame): void {
    const { seq } = frame as { seq?: unknown };
    if (typeof seq !== "number" || !this.position) {
      this.do({ type: "deliver", frame });
      return;
    }
    const verdict = admit(this.position.seq, { ...(frame as { type: string; from?: number }), seq });
    if (verdict === "gap") this.askForGap(this.position);
    else if (verdict === "apply") this.apply(frame, seq, this.position);
  }

  private apply(frame: ServerFrame, seq: number, position: Position): void {
    if (seq > position.seq) {
      this.position = { epoch: position.epoch, seq };
      this.caughtUp();
      this.countSeen();
    }
    this.do({ type: "deliver", frame });
  }

  private caughtUp(): void {
    if (!this.behind) return;
    this.behind = false;
    this.do({ type: "cancel", name: "sync" });
  }

  private askForGap(position: Position): void {
    if (this.liveVia === "events") {
      this.abandon();
      return;
    }
    if (!this.behind) this.do({ type: "timer", name: "sync", ms: SYNC_PATIENCE_MS });
    this.behind = true;
    if (this.lastSync && this.now - this.lastSync < SYNC_EVERY_MS) return;
    this.lastSync = this.now;
    this.send({ type: "sync", epoch: position.epoch, seq: position.seq });
  }

  private countSeen(): void {
    this.unseen += 1;
    if (this.liveVia === "events") return;
    if (this.unseen === 1) this.do({ type: "timer", name: "seen", ms: SEEN_MS });
    if (this.unseen >= SEEN_EVENTS) this.sendSeen();
  }

  private sendSeen(): void {
    this.unseen = 0;
    this.do({ type: "cancel", name: "seen" });
    if (this.position) this.send({ type: "seen", seq: this.position.seq });
  }

  // Frames out --------------------------------------------------------------------------------------------------------
  private command(frame: ClientFrame): void {
    if ("id" in frame && RESENT.has(frame.type)) {
      this.answered(frame.id); // sent again by hand: all tries anew
      this.outbox.set(frame.id, frame);
    }
    this.send(frame);
    if (this.state === "idle" || this.state === "stopped") this.connect();
  }

  private answered(id = ""): void {
    this.outbox.delete(id);
    this.refused.delete(id);
  }

  /** A message that cannot be taken just now is sent again by itself, a few times, and the visitor is not bothered. */
  private postpone({ id = "", code, retryable, retryAfterMs }: ServerFrame & { type: "error" }): boolean {
    const asked = retryAfterMs || RESEND_MS;
    const times = this.refused.get(id) ?? 0;
    // "busy" is what the bot's owner chose to say while an answer runs.
    const fit = retryable && code !== "busy" && asked <= RESEND_MOST_MS && times < RESEND_TIMES;
    if (!fit || this.outbox.get(id)?.type !== "message") return false;
    this.refused.set(id, times + 1);
    const ms = Math.min(asked * 2 ** times, RESEND_MOST_MS) * (1 + this.random() / 4);
    this.do({ type: "timer", name: "resend", ms: Math.round(ms) });
    return true;
  }

  /** The longest wait counts for all of them; one that is sent once too often is known by its id. */
  private resendRefused(): void {
    for (const id of this.refused.keys()) {
      const frame = this.outbox.get(id);
      if (frame) this.send(frame);
    }
  }

  private send(frame: ClientFrame): void {
    if (!this.live) return;
    if ("id" in frame) this.lastSent = frame.id;
    this.do({ type: "send", link: this.live, frame });
  }
}

function parseReason(reason: string): { code: string; retryAfterMs: number } {
  try {
    const { code, retryAfterMs } = JSON.parse(reason) as { code?: unknown; retryAfterMs?: unknown };
    return {
      code: typeof code === "string" ? code : "",
      retryAfterMs: typeof retryAfterMs === "number" ? retryAfterMs : 0,
    };
  } catch {
    return { code: "", retryAfterMs: 0 };
  }
}

const CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/** A ULID: sorts by time, 80 random bits. */
export function makeId(nowMs: number, random: () => number): string {
  let time = Math.floor(nowMs);
  let head = "";
  for (let i = 0; i < 10; i++) {
    head = CROCKFORD.charAt(time % 32) + head;
    time = Math.floor(time / 32);
  }
  let tail = "";
  for (let i = 0; i < 16; i++) tail += CROCKFORD.charAt(Math.floor(random() * 32));
  return head + tail;
}
