import { describe, expect, it } from "vitest";
import type { ServerFrame } from "./protocol";
import * as session from "./session";
import { admit, type Effect, type Input, makeId, Session, type Timer, type Token } from "./session";

const LIMITS = {
  maxMessageBytes: 65536,
  maxMessageChars: 4000,
  messagesPerMinute: 20,
  whileAnswering: "queue" as const,
};

function welcome(seq: number, resumed: boolean, more: object = {}): ServerFrame {
  return {
    type: "welcome",
    v: 1,
    connectionId: "c1",
    conversationId: "conv_1",
    epoch: "e1",
    seq,
    resumed,
    heartbeatMs: 25_000,
    authExpiresAt: "2026-11-21T10:15:00Z",
    limits: LIMITS,
    features: [],
    bot: { name: "Nova", version: 1 },
    ...more,
  };
}
const chunk = (seq: number, more: object = {}): ServerFrame => ({
  type: "stream_chunk",
  streamId: "s_1",
  chunk: "x",
  seq,
  ...more,
});
const message = (id: string) => ({ type: "message" as const, id, text: "hi" });

class Rig {
  now = 1_000_000;
  last: Effect[] = [];
  readonly session: Session;
  readonly timers = new Map<Timer, number>();
  constructor(random = 0.5) {
    this.session = new Session(
      () => ({ version: "1", locale: "en", page: "https://shop.example/" }),
      () => random,
    );
  }
  give(input: Input): Effect[] {
    this.last = this.session.handle(input, this.now);
    for (const effect of this.last) {
      if (effect.type === "timer") this.timers.set(effect.name, effect.ms);
      if (effect.type === "cancel") this.timers.delete(effect.name);
    }
    return this.last;
  }
  fire(name: Timer): Effect[] {
    this.now += this.timers.get(name) ?? 0;
    this.timers.delete(name);
    return this.give({ type: "timer", name });
  }
  token(more: Partial<Token> = {}): Effect[] {
    const token: Token = {
      token: "t1",
      expiresAt: this.now + 900_000,
      conversationId: "conv_1",
      websocketUrl: "wss://x/ws",
      eventsUrl: "https://x/events",
      ...more,
    };
    return this.give({ type: "token", token });
  }
  frame(frame: ServerFrame, link = this.link()): Effect[] {
    return this.give({ type: "frame", link, frame });
  }
  private opened = 0;
  link(): number {
    return this.opened;
  }
  open(): void {
    const open = this.of("open")[0];
    if (!open) throw new Error("nothing was opened");
    this.opened = open.link;
    this.give({ type: "opened", link: open.link });
  }
  of<T extends Effect["type"]>(type: T): Extract<Effect, { type: T }>[] {
    return this.last.filter((effect): effect is Extract<Effect, { type: T }> => effect.type === type);
  }
  sent(): string[] {
    return this.of("send").map((effect) => effect.frame.type);
  }
  delivered(): number[] {
    return this.of("deliver").map((effect) => (effect.frame as { seq?: number }).seq ?? -1);
  }
  state(): string | undefined {
    return this.of("status").at(-1)?.status.state;
  }
  live(seq = 10, resumed = false): this {
    this.give({ type: "start" });
    this.token();
    this.open();
    this.frame(welcome(seq, resumed));
    return this;
  }
  close(code: number, reason = ""): Effect[] {
    return this.give({ type: "closed", link: this.link(), code, reason });
  }
}

describe("admitting numbered frames (protocol 5)", () => {
  const table: [string, number, { type: string; seq: number; from?: number }, string][] = [
    ["the next one", 10, { type: "message", seq: 11 }, "apply"],
    ["one we have", 10, { type: "message", seq: 10 }, "duplicate"],
    ["an old one", 10, { type: "message", seq: 3 }, "duplicate"],
    ["one too far", 10, { type: "message", seq: 12 }, "gap"],
    ["merged from the next", 10, { type: "stream_chunk", from: 11, seq: 14 }, "apply"],
    ["merged, overlapping", 10, { type: "stream_chunk", from: 8, seq: 14 }, "apply"],
    ["merged, all known", 10, { type: "stream_chunk", from: 8, seq: 10 }, "duplicate"],
    ["merged, too far", 10, { type: "stream_chunk", from: 12, seq: 14 }, "gap"],
    ["a snapshot right after welcome", 10, { type: "stream_snapshot", seq: 10 }, "apply"],
    ["an old snapshot", 10, { type: "stream_snapshot", seq: 9 }, "duplicate"],
    ["a folded snapshot", 10, { type: "stream_snapshot", from: 11, seq: 300 }, "apply"],
  ];
  it.each(table)("%s", (_name, last, frame, verdict) => expect(admit(last, frame)).toBe(verdict));
});

describe("connecting", () => {
  it("asks for a token, opens, says hello, is welcomed", () => {
    const rig = new Rig();
    rig.give({ type: "start" });
    expect(rig.of("fetch_token")).toEqual([{ type: "fetch_token", newConversation: false, forgetVisitor: false }]);
    rig.token();
    expect(rig.of("open")[0]).toMatchObject({ via: "socket", position: null });
    rig.open();
    expect(rig.of("send")[0]?.frame).toMatchObject({
      type: "hello",
      v: 1,
      token: "t1",
      conversationId: "conv_1",
      history: 30,
      caps: { cues: true },
    });
    rig.frame(welcome(10, false));
    expect(rig.state()).toBe("online");
  });

  it("resumes where it was, with the token it has", () => {
    const rig = new Rig().live();
    rig.frame(chunk(11));
    rig.close(1006);
    expect(rig.state()).toBe("waiting");
    rig.fire("retry");
    expect(rig.of("fetch_token")).toEqual([]);
    rig.open();
    expect(rig.of("send")[0]?.frame).toMatchObject({ type: "hello", resume: { epoch: "e1", seq: 11 } });
  });

  it("backs off with full jitter, from 0.3 s to 30 s, and forgets only after 5 s of welcome", () => {
    const rig = new Rig(1);
    rig.give({ type: "start" });
    const waits: number[] = [];
    for (let i = 0; i < 10; i++) {
      rig.give({ type: "token_failed", status: 0, code: "unavailable" });
      waits.push(rig.timers.get("retry") ?? -1);
      rig.fire("retry");
    }
    expect(waits).toEqual([300, 600, 1200, 2400, 4800, 9600, 19200, 30000, 30000, 30000]);
    rig.token();
    rig.open();
    rig.frame(welcome(1, false));
    rig.close(1006);
    expect(rig.timers.get("retry")).toBe(30000);
    rig.fire("retry");
    rig.open();
    rig.frame(welcome(1, true));
    rig.fire("settled");
    rig.close(1006);
    expect(rig.timers.get("retry")).toBe(300);
    expect(new Rig(0).live().close(1006)).toContainEqual({ type: "timer", name: "retry", ms: 0 });
  });

  it.each([1001, 1012, 4001])("expects a server that closed with %i back soon", (code) => {
    const rig = new Rig(1).live();
    rig.close(code);
    const waits: number[] = [];
    for (let i = 0; i < 11; i++) {
      waits.push(rig.timers.get("retry") ?? -1);
      rig.fire("retry");
      rig.open();
      rig.close(1006);
    }
    expect(waits).toEqual([300, 600, 1200, 2400, 3000, 3000, 3000, 3000, 3000, 3000, 30000]);
  });

  it("expects it back after a reconnect frame too, but does not hammer one that restarts in a loop", () => {
    const rig = new Rig(1).live();
    rig.frame({ type: "reconnect", afterMs: 10, reason: "drain" });
    const waits: number[] = [];
    for (let i = 0; i < 6; i++) {
      rig.close(i === 0 ? 1006 : 1012);
      waits.push(rig.timers.get("retry") ?? -1);
      rig.fire("retry");
      rig.open();
      rig.frame(welcome(10, true));
    }
    expect(waits).toEqual([300, 600, 1200, 2400, 3000, 3000]);
    rig.fire("settled");
    rig.close(1006);
    expect(rig.timers.get("retry")).toBe(300);
  });

  it("says at once that the device is offline, and is back at once", () => {
    const rig = new Rig(1).live();
    rig.give({ type: "offline" });
    expect(rig.of("close")).toHaveLength(1);
    expect(rig.of("status").at(-1)?.status).toMatchObject({ state: "waiting", offline: true });
    rig.give({ type: "command", frame: message("k1") });
    rig.fire("retry"); // tries on its own: the browser may be wrong
    expect(rig.of("status").at(-1)?.status).toMatchObject({ state: "connecting", offline: true });
    rig.give({ type: "network" });
    expect(rig.of("open")).toHaveLength(1);
    expect(rig.of("status").at(-1)?.status).toEqual({ state: "connecting", attempt: 0 });
    rig.open();
    rig.frame(welcome(10, true));
    expect(rig.of("status").at(-1)?.status).toEqual({ state: "online", attempt: 0 });
    expect(rig.sent()).toEqual(["message"]);
  });

  it("an idle chat is only marked offline, a working connection disproves it", () => {
    const idle = new Rig();
    idle.give({ type: "offline" });
    expect(idle.of("status").at(-1)?.status).toEqual({ state: "idle", attempt: 0, offline: true });
    idle.live();
    expect(idle.of("status").at(-1)?.status).toEqual({ state: "online", attempt: 0 });
  });

  it("tries at once when woken", () => {
    const rig = new Rig().live();
    rig.close(1006);
    rig.give({ type: "wake" });
    expect(rig.of("open")).toHaveLength(1);
  });

  it("gives up on a token that is about to expire", () => {
    const rig = new Rig().live();
    rig.now += 890_000;
    rig.close(1006);
    rig.fire("retry");
    expect(rig.of("fetch_token")).toHaveLength(1);
  });

  it("gives up on a welcome that does not come in 10 s", () => {
    const rig = new Rig();
    rig.give({ type: "start" });
    rig.token();
    rig.open();
    rig.fire("welcome");
    expect(rig.of("close")).toHaveLength(1);
    expect(rig.state()).toBe("waiting");
  });

  it("becomes a new visitor when the stored token is refused, once", () => {
    const rig = new Rig();
    rig.give({ type: "start" });
    rig.give({ type: "token_failed", status: 401, code: "token_invalid" });
    expect(rig.of("fetch_token")).toEqual([{ type: "fetch_token", newConversation: false, forgetVisitor: true }]);
    rig.give({ type: "token_failed", status: 401, code: "token_invalid" });
    expect(rig.state()).toBe("stopped");
  });

  it("stops where the page may not use the bot", () => {
    const rig = new Rig();
    rig.give({ type: "start" });
    rig.give({ type: "token_failed", status: 403, code: "origin_not_allowed" });
    expect(rig.of("status")[0]?.status).toMatchObject({ state: "stopped", code: "origin_not_allowed" });
  });

  it("waits as long as the server asks", () => {
    const rig = new Rig();
    rig.give({ type: "start" });
    rig.give({ type: "token_failed", status: 429, code: "rate_limited", retryAfterMs: 12_000 });
    expect(rig.timers.get("retry")).toBe(12_000);
  });
});

describe("the same over HTTP", () => {
  const fail = (rig: Rig) => {
    rig.open();
    rig.close(1006);
    rig.fire("retry");
  };

  it("after two sockets that did not open, and back when that fails too", () => {
    const rig = new Rig();
    rig.give({ type: "start" });
    rig.token();
    rig.fire("open"); // 3 s without an open
    rig.fire("retry");
    expect(rig.of("open")[0]?.via).toBe("socket");
    fail(rig);
    expect(rig.of("open")[0]?.via).toBe("events");
    fail(rig);
    expect(rig.of("open")[0]?.via).toBe("socket");
  });

  it("needs no hello, no sync, no pong", () => {
    const rig = new Rig();
    rig.give({ type: "start" });
    rig.token();
    fail(rig);
    fail(rig);
    rig.open();
    expect(rig.sent()).toEqual([]);
    rig.frame(welcome(10, false));
    rig.frame({ type: "ping", t: 1 });
    expect(rig.sent()).toEqual([]);
    rig.frame(chunk(13));
    expect(rig.sent()).toEqual([]);
    expect(rig.of("close")).toHaveLength(1);
    rig.fire("retry");
    expect(rig.of("open")[0]?.position).toEqual({ epoch: "e1", seq: 10 });
  });

  it("not once a socket has worked", () => {
    const rig = new Rig().live();
    rig.close(1006);
    rig.fire("retry");
    for (let i = 0; i < 4; i++) fail(rig);
    expect(rig.of("open")[0]?.via).toBe("socket");
  });
});

describe("the log", () => {
  it("delivers each event once, whatever comes twice", () => {
    const rig = new Rig().live();
    rig.frame(chunk(11));
    expect(rig.delivered()).toEqual([11]);
    rig.frame(chunk(11));
    expect(rig.delivered()).toEqual([]);
    rig.frame(chunk(14, { from: 11, pos: 0 }));
    expect(rig.delivered()).toEqual([14]);
  });

  it("drops what is beyond a gap and asks for it, at most every 500 ms", () => {
    const rig = new Rig().live();
    rig.frame(chunk(13));
    expect(rig.delivered()).toEqual([]);
    expect(rig.of("send")[0]?.frame).toEqual({ type: "sync", epoch: "e1", seq: 10 });
    rig.now += 400;
    rig.frame(chunk(14));
    expect(rig.sent()).toEqual([]);
    rig.now += 200;
    rig.frame(chunk(15));
    expect(rig.sent()).toEqual(["sync"]);
    rig.frame(chunk(11));
    expect(rig.timers.has("sync")).toBe(false);
  });

  it("reconnects when a gap is not filled in 5 s", () => {
    const rig = new Rig().live();
    rig.frame(chunk(13));
    expect(rig.timers.get("sync")).toBe(session.SYNC_PATIENCE_MS);
    rig.fire("sync");
    expect(rig.of("close")).toHaveLength(1);
    expect(rig.state()).toBe("waiting");
  });

  it("starts from the server's position when it cannot resume, also on a living socket", () => {
    const rig = new Rig().live(10);
    rig.frame(welcome(50, false, { epoch: "e2" }));
    rig.frame({
      type: "stream_snapshot",
      streamId: "s_1",
      messageId: "m1",
      replyTo: "m0",
      text: "abc",
      animation: "idle",
      seq: 50,
    });
    expect(rig.delivered()).toEqual([50]);
    rig.frame(chunk(51));
    expect(rig.delivered()).toEqual([51]);
  });

  it("counts unknown types", () => {
    const rig = new Rig().live();
    rig.frame({ type: "hologram", seq: 11 } as unknown as ServerFrame);
    rig.frame(chunk(12));
    expect(rig.delivered()).toEqual([12]);
  });

  it("says what it has seen every 32 events or 5 s", () => {
    const rig = new Rig().live();
    for (let seq = 11; seq < 42; seq++) rig.frame(chunk(seq));
    expect(rig.sent()).toEqual([]);
    rig.frame(chunk(42));
    expect(rig.of("send")[0]?.frame).toEqual({ type: "seen", seq: 42 });
    rig.frame(chunk(43));
    rig.fire("seen");
    expect(rig.of("send")[0]?.frame).toEqual({ type: "seen", seq: 43 });
  });
});

describe("commands", () => {
  it("wait for the welcome, and are sent again with the same id until they are answered", () => {
    const rig = new Rig();
    rig.give({ type: "command", frame: message("k1") });
    expect(rig.of("fetch_token")).toHaveLength(1);
    rig.token();
    rig.open();
    rig.frame(welcome(10, false));
    expect(rig.of("send").map((effect) => effect.frame)).toEqual([message("k1")]);
    rig.close(1006);
    rig.fire("retry");
    rig.open();
    rig.frame(welcome(10, true));
    expect(rig.of("send").map((effect) => effect.frame)).toEqual([message("k1")]);
    rig.frame({ type: "ack", id: "k1" });
    rig.close(1006);
    rig.fire("retry");
    rig.open();
    rig.frame(welcome(10, true));
    expect(rig.sent()).toEqual([]);
  });

  it("an error answers too", () => {
    const rig = new Rig().live();
    rig.give({ type: "command", frame: message("k1") });
    rig.frame({ type: "error", id: "k1", code: "too_long", message: "", retryable: false });
    rig.frame(welcome(10, true));
    expect(rig.sent()).toEqual([]);
  });

  const refusal = (id: string, more: object = {}): ServerFrame => ({
    type: "error",
    id,
    code: "unavailable",
    message: "",
    retryable: true,
    retryAfterMs: 1000,
    ...more,
  });

  it("a message refused for now is sent again with its id, three times, ever later", () => {
    const rig = new Rig(0).live();
    rig.give({ type: "command", frame: message("k1") });
    for (const wait of [1000, 2000, 4000]) {
      rig.frame(refusal("k1"));
      expect(rig.of("deliver")).toEqual([]);
      expect(rig.timers.get("resend")).toBe(wait);
      rig.fire("resend");
      expect(rig.of("send").map((effect) => effect.frame)).toEqual([message("k1")]);
    }
    rig.frame(refusal("k1"));
    expect(rig.of("deliver")[0]?.frame).toMatchObject({ type: "error", id: "k1" });
    rig.give({ type: "command", frame: message("k1") }); // by hand
    rig.frame(refusal("k1"));
    expect(rig.of("deliver")).toEqual([]);
    rig.frame({ type: "ack", id: "k1" });
    expect(rig.fire("resend")).toEqual([]);
  });

  it("a refused message goes out at once with a new welcome", () => {
    const rig = new Rig().live();
    rig.give({ type: "command", frame: message("k1") });
    rig.frame(refusal("k1"));
    rig.close(1006);
    expect(rig.timers.has("resend")).toBe(false);
    rig.fire("retry");
    rig.open();
    rig.frame(welcome(10, true));
    expect(rig.sent()).toEqual(["message"]);
  });

  it.each([
    ["not to be tried again", { retryable: false }],
    ["a long wait", { code: "rate_limited", retryAfterMs: 40_000 }],
    ["an answer still runs", { code: "busy" }],
  ])("the visitor is told at once: %s", (_name, more) => {
    const rig = new Rig().live();
    rig.give({ type: "command", frame: message("k1") });
    rig.frame(refusal("k1", more));
    expect(rig.of("deliver")).toHaveLength(1);
  });

  it("stop is sent again only while its stream runs; typing never", () => {
    const rig = new Rig().live();
    rig.give({ type: "command", frame: { type: "stop", id: "k1", streamId: "s_1", reason: "user" } });
    rig.give({ type: "command", frame: { type: "typing", state: "on" } });
    rig.frame(welcome(10, true, { activeStream: { streamId: "s_1", messageId: "m1" } }));
    expect(rig.sent()).toEqual(["stop"]);
    rig.frame(welcome(10, true));
    expect(rig.sent()).toEqual([]);
  });

  it("the cause of a protocol error is not sent again", () => {
    const rig = new Rig().live();
    rig.give({ type: "command", frame: message("k1") });
    rig.close(1009);
    expect(rig.of("deliver")[0]?.frame).toMatchObject({ type: "error", id: "k1", code: "too_long", retryable: false });
    rig.fire("retry");
    rig.open();
    rig.frame(welcome(10, true));
    expect(rig.sent()).toEqual([]);
  });
});

describe("close codes (protocol 8)", () => {
  it.each([
    1001, 1006, 1012, 1002, 1003, 1007, 1008, 1009, 4000, 4001, 4002, 4008, 4010, 4012, 4408, 4013, 4029, 4014, 4321,
  ])("%i comes back", (code) => {
    const rig = new Rig().live();
    rig.close(code);
    expect(rig.state()).toBe("waiting");
  });
  it.each([4501, 4503, 4504, 4507, 4508, 4509, 4777])("%i stops", (code) => {
    const rig = new Rig().live();
    rig.close(code, '{"code":"abuse"}');
    expect(rig.of("status").at(-1)?.status).toMatchObject({ state: "stopped", code: "abuse" });
  });

  it("1000 is normal: nothing until the visitor wants something", () => {
    const rig = new Rig().live();
    rig.close(1000);
    expect(rig.state()).toBe("idle");
    rig.give({ type: "command", frame: message("k1") });
    expect(rig.of("open")).toHaveLength(1);
  });

  it("4500 tries once with a fresh token", () => {
    const rig = new Rig().live();
    rig.close(4500);
    expect(rig.of("fetch_token")).toHaveLength(1);
    rig.token();
    rig.open();
    rig.close(4500);
    expect(rig.state()).toBe("stopped");
  });

  it("4014 needs a new token, 4013 and 4029 their time", () => {
    const rig = new Rig().live();
    rig.close(4014);
    rig.fire("retry");
    expect(rig.of("fetch_token")).toHaveLength(1);
    const slow = new Rig().live();
    slow.close(4013, '{"code":"rate_limited","retryAfterMs":7000}');
    expect(slow.timers.get("retry")).toBe(7000);
  });
});

describe("a living connection", () => {
  it("answers ping, and is dead after heartbeat + 8 s of silence", () => {
    const rig = new Rig().live();
    rig.frame({ type: "ping", t: 7 });
    expect(rig.of("send")[0]?.frame).toEqual({ type: "pong", t: 7 });
    rig.now += 20_000;
    rig.frame(chunk(11));
    rig.now += 13_000;
    rig.give({ type: "timer", name: "heartbeat" });
    expect(rig.timers.get("heartbeat")).toBe(20_000);
    rig.fire("heartbeat");
    expect(rig.of("close")[0]?.code).toBe(4012);
    expect(rig.state()).toBe("waiting");
  });

  it("is probed when the page becomes visible", () => {
    const rig = new Rig().live();
    rig.give({ type: "wake" });
    expect(rig.sent()).toEqual(["ping"]);
    expect(rig.timers.get("probe")).toBe(3000);
    rig.frame({ type: "pong", t: 1 });
    expect(rig.timers.has("probe")).toBe(false);
    rig.give({ type: "wake" });
    rig.fire("probe");
    expect(rig.state()).toBe("waiting");
  });

  it("moves over without a gap when the server drains", () => {
    const rig = new Rig().live();
    const old = rig.link();
    rig.frame({ type: "reconnect", afterMs: 4210, reason: "drain" });
    expect(rig.timers.get("rebalance")).toBe(4210);
    rig.fire("rebalance");
    rig.open();
    rig.frame(chunk(11), old);
    expect(rig.delivered()).toEqual([11]);
    rig.frame(welcome(11, true));
    expect(rig.of("close")).toEqual([{ type: "close", link: old, code: 1000 }]);
    rig.frame(chunk(11));
    expect(rig.delivered()).toEqual([]);
    rig.frame(chunk(12));
    expect(rig.delivered()).toEqual([12]);
  });

  it("stays on the old connection when the new one fails", () => {
    const rig = new Rig().live();
    const old = rig.link();
    rig.frame({ type: "reconnect", afterMs: 10, reason: "drain" });
    rig.fire("rebalance");
    rig.open();
    rig.close(1006);
    rig.frame(chunk(11), old);
    expect(rig.delivered()).toEqual([11]);
    rig.fire("rebalance");
    expect(rig.of("open")).toHaveLength(1);
  });

  it("refreshes its token over the socket", () => {
    const rig = new Rig().live();
    rig.frame({ type: "auth_expiring", expiresAt: "2026-11-21T10:15:00Z" });
    expect(rig.sent()).toEqual(["auth_refresh"]);
    rig.frame({ type: "ack", id: "x", token: "t2", expiresAt: new Date(rig.now + 900_000).toISOString() });
    rig.close(1006);
    rig.fire("retry");
    rig.open();
    expect(rig.of("send")[0]?.frame).toMatchObject({ token: "t2" });
  });

  it("sleeps when the page goes, and comes back with it", () => {
    const rig = new Rig().live();
    rig.give({ type: "suspend" });
    expect(rig.of("close")[0]?.code).toBe(1000);
    rig.give({ type: "wake" });
    expect(rig.of("open")[0]?.position).toEqual({ epoch: "e1", seq: 10 });
  });

  it("a new conversation leaves everything of the old one", () => {
    const rig = new Rig().live();
    rig.give({ type: "command", frame: message("k1") });
    rig.give({ type: "new_conversation" });
    expect(rig.of("fetch_token")[0]?.newConversation).toBe(true);
    rig.token({ conversationId: "conv_2" });
    expect(rig.of("open")[0]?.position).toBeNull();
    rig.open();
    rig.frame(welcome(0, false));
    expect(rig.sent()).toEqual([]);
  });

  it("frames of a connection that was left change nothing", () => {
    const rig = new Rig().live();
    const old = rig.link();
    rig.close(1006);
    rig.frame(chunk(11), old);
    expect(rig.delivered()).toEqual([]);
  });
});

it("ids are ULIDs that sort by time", () => {
  const [one, two] = [makeId(1_000, () => 0.99), makeId(2_000, () => 0)];
  expect(one).toMatch(/^[0-9A-HJKMNP-TV-Z]{26}$/);
  expect(one < two).toBe(true);
});
