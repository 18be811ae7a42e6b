/** The I/O around a Session: token requests, WebSocket or event stream, timers, and the page's comings and goings. */

import type { Keeper } from "./keeper";
import { type ClientFrame, type ServerFrame, SUBPROTOCOL } from "./protocol";
import { type Effect, type Input, makeId, Session, type Status, type Timer, type Token } from "./session";
import { EventParser } from "./sse";

export interface ConnectionOptions {
  readonly base: string;
  readonly bot: string;
  readonly keeper: Keeper;
  readonly locale: () => string;
  readonly onFrame: (frame: ServerFrame) => void;
  readonly onStatus: (status: Status) => void;
}

interface Link {
  send(frame: ClientFrame): void;
  close(code: number): void;
}

interface TokenAnswer {
  readonly token: string;
  readonly expires_at: string;
  readonly renewal_token?: string;
  readonly conversation_id: string;
}

interface Problem {
  readonly code?: string;
  readonly title?: string;
  readonly detail?: string;
  readonly retry_after?: number;
}

const TOKEN_TIMEOUT_MS = 15_000;
const random = () => (crypto.getRandomValues(new Uint32Array(1))[0] ?? 0) / 2 ** 32;

export const newId = () => makeId(Date.now(), random);

export class Connection {
  private readonly options: ConnectionOptions;
  private readonly session: Session;
  private readonly links = new Map<number, Link>();
  private readonly timers = new Map<Timer, ReturnType<typeof setTimeout>>();
  private readonly hooks = new AbortController();

  constructor(options: ConnectionOptions) {
    this.options = options;
    const page = () => (location.origin + location.pathname).slice(0, 2048);
    this.session = new Session(() => ({ version: __VERSION__, locale: options.locale(), page: page() }), random);
    this.listen();
  }

  start(): void {
    this.give({ type: "start" });
  }

  send(frame: ClientFrame): void {
    this.give({ type: "command", frame });
  }

  newConversation(): void {
    this.give({ type: "new_conversation" });
  }

  destroy(): void {
    this.hooks.abort();
    this.give({ type: "stop" });
    for (const timer of this.timers.values()) clearTimeout(timer);
    this.timers.clear();
  }

  private listen(): void {
    const { signal } = this.hooks;
    const wake = () => this.give({ type: "wake" });
    const lost = () => this.give({ type: "offline" });
    addEventListener("online", () => this.give({ type: "network" }), { signal });
    addEventListener("offline", lost, { signal });
    if (navigator.onLine === false) lost();
    addEventListener("pageshow", (event) => event.persisted && wake(), { signal });
    addEventListener("pagehide", () => this.give({ type: "suspend" }), { signal });
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && wake(), { signal });
  }

  private give(input: Input): void {
    for (const effect of this.session.handle(input, Date.now())) this.perform(effect);
  }

  private perform(effect: Effect): void {
    switch (effect.type) {
      case "deliver":
        this.options.onFrame(effect.frame);
        return;
      case "status":
        this.options.onStatus(effect.status);
        return;
      case "send":
        this.links.get(effect.link)?.send(effect.frame);
        return;
      case "close":
        this.links.get(effect.link)?.close(effect.code);
        this.links.delete(effect.link);
        return;
      case "timer":
        this.setTimer(effect.name, effect.ms);
        return;
      case "cancel":
        clearTimeout(this.timers.get(effect.name));
        return;
      case "open":
        this.links.set(effect.link, effect.via === "socket" ? this.openSocket(effect) : this.openEvents(effect));
        return;
      case "fetch_token":
        void this.fetchToken(effect.newConversation, effect.forgetVisitor);
        return;
      default:
        effect satisfies never;
    }
  }

  private setTimer(name: Timer, ms: number): void {
    clearTimeout(this.timers.get(name));
    this.timers.set(
      name,
      setTimeout(() => this.give({ type: "timer", name }), ms),
    );
  }

  // Token -------------------------------------------------------------------------------------------------------------
  private async fetchToken(newConversation: boolean, forgetVisitor: boolean): Promise<void> {
    const { bot, keeper } = this.options;
    if (forgetVisitor) keeper.set(undefined);
    // The renewal token rotates at each use, so two tabs must not use the same one at once.
    const ask = () => this.requestToken(newConversation);
    const answer = navigator.locks && keeper.known ? await navigator.locks.request(`parlour:${bot}`, ask) : await ask();
    if (!this.hooks.signal.aborted) this.give(answer);
  }

  private async requestToken(newConversation: boolean): Promise<Input> {
    const { base, bot, keeper, locale } = this.options;
    const renewal = keeper.get();
    const body = {
      locale: locale(),
      ...(renewal ? { renewal_token: renewal } : {}),
      ...(newConversation ? { new_conversation: true } : {}),
    };
    try {
      const answer = await fetch(`${base}/v1/bots/${bot}/visitor-tokens`, {
        method: "POST",
        credentials: "omit",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(body),
        signal: AbortSignal.timeout(TOKEN_TIMEOUT_MS),
      });
      if (!answer.ok) return await refusal(answer);
      const found = (await answer.json()) as TokenAnswer;
      if (found.renewal_token) keeper.set(found.renewal_token);
      return { type: "token", token: asToken(found, base, bot) };
    } catch {
      return { type: "token_failed", status: 0, code: "unavailable" };
    }
  }

  // WebSocket ---------------------------------------------------------------------------------------------------------
  private openSocket({ link, token }: Effect & { type: "open" }): Link {
    let socket: WebSocket;
    try {
      socket = new WebSocket(token.websocketUrl, SUBPROTOCOL);
    } catch {
      queueMicrotask(() => this.give({ type: "closed", link, code: 1006, reason: "" }));
      return { send() {}, close() {} };
    }
    socket.onopen = () => this.give({ type: "opened", link });
    socket.onclose = (event) => this.give({ type: "closed", link, code: event.code, reason: event.reason });
    socket.onmessage = (event) => {
      const frame = parseFrame(event.data);
      this.give(frame ? { type: "frame", link, frame } : { type: "alive", link });
    };
    return {
      send: (frame) => socket.readyState === WebSocket.OPEN && socket.send(JSON.stringify(frame)),
      close: (code) => {
        socket.onopen = socket.onclose = socket.onmessage = null;
        socket.close(code);
      },
    };
  }

  // The same over HTTP ------------------------------------------------------------------------------------------------
  private openEvents({ link, token, position }: Effect & { type: "open" }): Link {
    const abort = new AbortController();
    const connection = { id: "" };
    const headers: Record<string, string> = { Authorization: `Bearer ${token.token}` };
    if (position) headers["Last-Event-ID"] = `${position.epoch}:${position.seq}`;
    void this.readEvents(link, token, headers, abort.signal, connection);
    return {
      send: (frame) => void this.postCommand(link, token, frame, connection.id, abort.signal),
      close: () => abort.abort(),
    };
  }

  private async readEvents(
    link: number,
    token: Token,
    headers: Record<string, string>,
    signal: AbortSignal,
    connection: { id: string },
  ): Promise<void> {
    let code = 1006;
    let reason = "";
    try {
      const answer = await fetch(`${token.eventsUrl}?caps=cues&history=30`, { headers, signal, credentials: "omit" });
      if (!answer.ok || !answer.body) {
        code = answer.status === 401 ? 4014 : 4000;
        return;
      }
      this.give({ type: "opened", link });
      const parser = new EventParser();
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        this.give({ type: "alive", link });
        for (const event of parser.push(value)) {
          if (event.event === "close") {
            ({ code, reason } = closing(event.data));
            return;
          }
          const frame = parseFrame(event.data);
          if (frame?.type === "welcome") connection.id = frame.connectionId;
          if (frame) this.give({ type: "frame", link, frame });
        }
      }
    } catch {
    } finally {
      if (!signal.aborted) this.give({ type: "closed", link, code, reason });
    }
  }

  private async postCommand(
    link: number,
    token: Token,
    frame: ClientFrame,
    connectionId: string,
    signal: AbortSignal,
  ): Promise<void> {
    if (frame.type === "seen" || frame.type === "sync" || frame.type === "pong") return;
    try {
      const answer = await fetch(token.eventsUrl.replace(/\/events$/, "/commands"), {
        method: "POST",
        credentials: "omit",
        signal,
        headers: {
          Authorization: `Bearer ${token.token}`,
          "Content-Type": "application/json",
          "Parlour-Connection": connectionId,
        },
        body: JSON.stringify(frame),
      });
      if (answer.status === 204) return;
      const given = (await answer.json()) as unknown;
      const reply = answer.ok ? (given as ServerFrame) : asError(frame, given as Problem, answer.status);
      this.give({ type: "frame", link, frame: reply });
    } catch {
      if (!signal.aborted) this.give({ type: "frame", link, frame: asError(frame, { code: "unavailable" }, 503) });
    }
  }
}

async function refusal(answer: Response): Promise<Input> {
  const problem = (await answer.json().catch(() => ({}))) as Problem;
  const after = Number(answer.headers.get("Retry-After")) || problem.retry_after || 0;
  return {
    type: "token_failed",
    status: answer.status,
    code: problem.code ?? `status_${answer.status}`,
    retryAfterMs: after * 1000,
  };
}

// The answer names addresses too, but behind a proxy only the one this script came from is known to be reachable, and it
// is the only one the page's policy has to allow.
function asToken(answer: TokenAnswer, base: string, bot: string): Token {
  const socketBase = base.replace(/^http/, "ws");
  return {
    token: answer.token,
    expiresAt: Date.parse(answer.expires_at) || 0,
    conversationId: answer.conversation_id,
    websocketUrl: `${socketBase}/v1/bots/${bot}/ws`,
    eventsUrl: `${base}/v1/conversations/${answer.conversation_id}/events`,
  };
}

function asError(frame: ClientFrame, problem: Problem, status: number): ServerFrame {
  return {
    type: "error",
    ...("id" in frame ? { id: frame.id } : {}),
    code: problem.code ?? "internal",
    message: problem.detail ?? problem.title ?? "",
    retryable: status === 429 || status >= 500,
    ...(problem.retry_after ? { retryAfterMs: problem.retry_after * 1000 } : {}),
  };
}

/** One frame, or null for anything that is none; unknown types pass, the reducer ignores them. */
export function parseFrame(data: unknown): ServerFrame | null {
  if (typeof data !== "string") return null;
  try {
    const value = JSON.parse(data) as { type?: unknown } | null;
    return value && typeof value.type === "string" ? (value as ServerFrame) : null;
  } catch {
    return null;
  }
}

/** `event: close` carries {"code":4014,"reason":"token_expired"}: the same facts as a close frame. */
function closing(data: string): { code: number; reason: string } {
  try {
    const { code, reason, retryAfterMs } = JSON.parse(data) as {
      code?: unknown;
      reason?: unknown;
      retryAfterMs?: unknown;
    };
    return { code: typeof code === "number" ? code : 1006, reason: JSON.stringify({ code: reason, retryAfterMs }) };
  } catch {
    return { code: 1006, reason: "" };
  }
}
