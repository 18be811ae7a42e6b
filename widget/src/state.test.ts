import { describe, expect, it } from "vitest";
import type { HistoryMessage, ServerFrame } from "./protocol";
import { type ChatState, EMPTY, type LocalAction, reduce } from "./state";

const play = (inputs: (ServerFrame | LocalAction)[], from: ChatState = EMPTY) => inputs.reduce(reduce, from);
const texts = (state: ChatState) => state.messages.map((one) => one.text);
const deliveries = (state: ChatState) => state.messages.map((one) => one.delivery);

const send = (id: string, text = id): LocalAction => ({
  type: "local_send",
  id,
  text,
  createdAt: "2026-11-21T10:00:00Z",
});
const said = (messageId: string, text: string, clientId?: string): ServerFrame => ({
  type: "message",
  messageId,
  role: "user",
  text,
  author: { kind: "visitor" },
  ...(clientId ? { clientId } : {}),
});
const start = (streamId: string, messageId: string, more: object = {}): ServerFrame => ({
  type: "stream_start",
  streamId,
  chatbotId: "b",
  messageId,
  replyTo: "m1",
  attempt: 1,
  animation: "thinking",
  ...more,
});
const chunk = (streamId: string, text: string, more: object = {}): ServerFrame => ({
  type: "stream_chunk",
  streamId,
  chunk: text,
  ...more,
});
const complete = (streamId: string, messageId: string, chars: number, more: object = {}): ServerFrame => ({
  type: "stream_complete",
  streamId,
  messageId,
  sentiment: "neutral",
  animation: "idle",
  finishReason: "stop",
  chars,
  ...more,
});
const welcome = (resumed: boolean): ServerFrame => ({
  type: "welcome",
  v: 1,
  connectionId: "c",
  conversationId: "conv",
  epoch: "e",
  seq: 1,
  resumed,
  heartbeatMs: 25_000,
  authExpiresAt: "",
  limits: { maxMessageBytes: 1, maxMessageChars: 2, messagesPerMinute: 3, whileAnswering: "queue" },
  features: ["cues"],
  bot: { name: "Nova", version: 1 },
});
const kept = (messageId: string, text: string, more: Partial<HistoryMessage> = {}): HistoryMessage => ({
  messageId,
  role: "assistant",
  text,
  author: { kind: "bot" },
  createdAt: "2026-11-21T09:00:00Z",
  status: "complete",
  ...more,
});
const snapshot = (streamId: string, messageId: string, text: string): ServerFrame => ({
  type: "stream_snapshot",
  streamId,
  messageId,
  replyTo: "m1",
  text,
  animation: "talk_calm",
});

describe("a visitor's message", () => {
  it("is shown at once, acknowledged, and the same in the log", () => {
    const state = play([send("k1", "hi"), { type: "ack", id: "k1", messageId: "m1", seq: 5 }, said("m1", "hi", "k1")]);
    expect(state.messages).toHaveLength(1);
    expect(state.messages[0]).toMatchObject({ key: "k1", messageId: "m1", delivery: "sent" });
  });

  it("may be in the log before its acknowledgement, which then changes nothing", () => {
    const state = play([
      send("k1"),
      said("m1", "k1", "k1"),
      { type: "ack", id: "k1", messageId: "m1", duplicate: true },
    ]);
    expect(deliveries(state)).toEqual(["sent"]);
  });

  it("queued, then sent when its answer starts", () => {
    let state = play([send("k1"), { type: "ack", id: "k1", messageId: "m1", queued: true }]);
    expect(deliveries(state)).toEqual(["queued"]);
    state = play([start("s1", "m2")], state);
    expect(state.messages.find((one) => one.messageId === "m1")?.delivery).toBe("sent");
  });

  it("failed, tried again, discarded", () => {
    let state = play([
      send("k1"),
      { type: "error", id: "k1", code: "rate_limited", message: "", retryable: true, retryAfterMs: 5 },
    ]);
    expect(state.messages[0]).toMatchObject({ delivery: "failed", error: { code: "rate_limited", retryAfterMs: 5 } });
    state = play([{ type: "local_retry", id: "k1" }], state);
    expect(state.messages[0]).toMatchObject({ delivery: "sending" });
    expect(state.messages[0]).not.toHaveProperty("error");
    expect(play([{ type: "local_discard", id: "k1" }], state).messages).toEqual([]);
  });

  it("stays below what the log holds until it is in it itself", () => {
    const state = play([send("k1", "mine"), said("m1", "from another tab"), said("m2", "mine", "k1")]);
    expect(texts(state)).toEqual(["from another tab", "mine"]);
    expect(texts(play([send("k1", "mine"), said("m1", "other")]))).toEqual(["other", "mine"]);
  });

  it("not yet acknowledged is not taken for what an answer replaces", () => {
    const state = play([
      send("A"),
      send("B"),
      { type: "ack", id: "A", messageId: "m1", seq: 5 },
      said("m1", "A", "A"),
      start("s1", "m2"),
      chunk("s1", "answer"),
    ]);
    expect(texts(state)).toEqual(["A", "answer", "B"]);
    expect(deliveries(state)).toEqual(["sent", "streaming", "sending"]);
    const both = play([complete("s1", "m2", 6), said("m3", "B", "B"), start("s2", "m4", { replyTo: "m3" })], state);
    expect(texts(both)).toEqual(["A", "answer", "B", ""]);
  });

  it("failed stays where it is, and every question above its answer", () => {
    const failed = (id: string): ServerFrame => ({ type: "error", id, code: "x", message: "", retryable: false });
    const answered = [said("m1", "Q", "Q"), start("s1", "m2"), chunk("s1", "answer")];
    expect(texts(play([send("F"), failed("F"), send("Q"), ...answered]))).toEqual(["F", "Q", "answer"]);
    expect(texts(play([send("Q"), send("F"), failed("F"), ...answered]))).toEqual(["Q", "answer", "F"]);
    const acked: ServerFrame = { type: "ack", id: "Q", messageId: "m1" };
    expect(texts(play([send("F"), failed("F"), send("Q"), acked, ...answered]))).toEqual(["F", "Q", "answer"]);
    expect(texts(play([send("Q"), send("F"), failed("F"), acked, snapshot("s1", "m2", "a")]))).toEqual(["Q", "a", "F"]);
  });

  it("an error without a message is a notice, gone with the next message", () => {
    const state = play([{ type: "error", code: "unavailable", message: "", retryable: true }]);
    expect(state.notice?.code).toBe("unavailable");
    expect(play([send("k1")], state).notice).toBeNull();
  });
});

describe("an answer", () => {
  it("grows and completes with its sources", () => {
    const state = play([
      said("m1", "q"),
      start("s1", "m2"),
      { type: "source", streamId: "s1", n: 2, title: "B", handle: "h2" },
      { type: "source", streamId: "s1", n: 1, title: "A", handle: "h1", place: "p. 3", seq: 9 },
      chunk("s1", "Hello"),
      chunk("s1", " there"),
    ]);
    expect(state.messages[1]).toMatchObject({ text: "Hello there", delivery: "streaming", streamId: "s1" });
    expect(state.messages[1]?.citations).toEqual([
      { n: 1, title: "A", handle: "h1", place: "p. 3" },
      { n: 2, title: "B", handle: "h2" },
    ]);
    expect(state.runningStreamId).toBe("s1");
    const done = play([complete("s1", "m2", 11, { suggestions: ["More"] })], state);
    expect(done.messages[1]).toMatchObject({ delivery: "complete", suggestions: ["More"], finishReason: "stop" });
    expect(done.messages[1]).not.toHaveProperty("damaged");
    expect(done.runningStreamId).toBeNull();
  });

  it("is exact where merged frames overlap", () => {
    const state = play([start("s1", "m2"), chunk("s1", "abc"), chunk("s1", "bcdef", { from: 3, pos: 1 })]);
    expect(texts(state)).toEqual(["abcdef"]);
  });

  it("is taken back to a character", () => {
    const state = play([
      start("s1", "m2"),
      chunk("s1", "abcdef"),
      { type: "stream_reset", streamId: "s1", reason: "failover", keepChars: 2 },
      chunk("s1", "X"),
    ]);
    expect(texts(state)).toEqual(["abX"]);
  });

  it("is replaced by a snapshot", () => {
    const state = play([start("s1", "m2"), chunk("s1", "abc"), snapshot("s1", "m2", "abcdefg"), chunk("s1", "h")]);
    expect(texts(state)).toEqual(["abcdefgh"]);
    expect(state.messages[0]?.key).toBe("m2");
  });

  it("is damaged when its length is not what the server says", () => {
    expect(play([start("s1", "m2"), chunk("s1", "abc"), complete("s1", "m2", 4)]).messages[0]?.damaged).toBe(true);
  });

  it("broken keeps its text", () => {
    const state = play([
      start("s1", "m2"),
      chunk("s1", "abc"),
      { type: "stream_error", streamId: "s1", messageId: "m2", error: "x", code: "timeout", retryable: true },
    ]);
    expect(state.messages[0]).toMatchObject({
      text: "abc",
      delivery: "broken",
      error: { code: "timeout", retryable: true },
    });
    expect(state.runningStreamId).toBeNull();
  });

  it("given again takes the place of the old one", () => {
    const state = play([
      said("m1", "q"),
      start("s1", "m2"),
      chunk("s1", "old"),
      complete("s1", "m2", 3),
      start("s2", "m3", { replaces: "m2" }),
      chunk("s2", "new"),
    ]);
    expect(texts(state)).toEqual(["q", "new"]);
  });

  it("after its end nothing changes it", () => {
    const done = play([start("s1", "m2"), chunk("s1", "abc"), complete("s1", "m2", 3)]);
    expect(
      texts(play([chunk("s1", "zzz"), { type: "stream_reset", streamId: "s1", reason: "filter", keepChars: 0 }], done)),
    ).toEqual(["abc"]);
  });
});

describe("history and resuming", () => {
  it("resumed keeps what is here", () => {
    const state = play([start("s1", "m2"), chunk("s1", "abc"), welcome(true), chunk("s1", "d")]);
    expect(texts(state)).toEqual(["abcd"]);
    expect(state.limits?.maxMessageChars).toBe(2);
  });

  it("not resumed: stream state goes, history draws anew, ours unacknowledged stay, the snapshot goes on", () => {
    const state = play([
      said("m1", "q"),
      start("s1", "m2"),
      chunk("s1", "abc"),
      send("k9", "mine"),
      welcome(false),
      { type: "history", messages: [kept("m1", "q", { role: "user" })], atSeq: 9, nextCursor: "x" },
      snapshot("s1", "m2", "abcdef"),
      chunk("s1", "g"),
    ]);
    expect(texts(state)).toEqual(["q", "abcdefg", "mine"]);
    expect(state.hasOlder).toBe(true);
    expect(state.runningStreamId).toBe("s1");
  });

  it("an unacknowledged message that history holds is not shown twice", () => {
    const state = play([
      send("k1", "q"),
      welcome(false),
      { type: "history", messages: [kept("m1", "q", { role: "user", clientId: "k1" })], atSeq: 1 },
    ]);
    expect(state.messages).toHaveLength(1);
    expect(state.messages[0]).toMatchObject({ key: "k1", delivery: "sent" });
  });

  it("messages that come again after history are the same messages", () => {
    const state = play([
      welcome(false),
      { type: "history", messages: [kept("m1", "q", { role: "user" }), kept("m2", "a")], atSeq: 1 },
      said("m1", "q"),
      start("s1", "m2"),
      chunk("s1", "zzz"),
      snapshot("s1", "m2", "zzz"),
      complete("s1", "m2", 3),
    ]);
    expect(texts(state)).toEqual(["q", "a"]);
  });

  it("a rating is in the history, and stays when the message comes again", () => {
    const state = play([
      welcome(false),
      { type: "history", messages: [kept("m1", "a", { rating: "up" }), kept("m2", "b")], atSeq: 1 },
      { type: "local_rate", messageId: "m2", rating: "down" },
      { type: "history", id: "h", messages: [kept("m1", "a", { rating: "up" }), kept("m2", "b")], atSeq: 1 },
      { ...said("m1", "a"), role: "assistant" } as ServerFrame,
    ]);
    expect(state.messages.map((one) => one.rating)).toEqual(["up", "down"]);
  });

  it("an older page goes before, a refetch repairs", () => {
    const damaged = play([start("s1", "m2"), chunk("s1", "ab"), complete("s1", "m2", 3)]);
    const state = play(
      [{ type: "history", id: "h1", messages: [kept("m0", "older"), kept("m2", "abc")], atSeq: 1 }],
      damaged,
    );
    expect(texts(state)).toEqual(["older", "abc"]);
    expect(state.messages[1]).not.toHaveProperty("damaged");
  });

  it("interrupted answers say so", () => {
    const state = play([
      welcome(false),
      { type: "history", messages: [kept("m1", "a", { status: "interrupted" })], atSeq: 1 },
    ]);
    expect(deliveries(state)).toEqual(["interrupted"]);
  });
});

describe("the rest", () => {
  it("unknown types and frames of no interest change nothing", () => {
    const state = play([send("k1")]);
    for (const frame of [
      { type: "hologram", seq: 1 },
      { type: "ping", t: 1 },
      { type: "config_changed", version: 2 },
      chunk("s_unknown", "x"),
    ]) {
      expect(reduce(state, frame as ServerFrame)).toBe(state);
    }
  });

  it("ratings, typing, a new conversation", () => {
    let state = play([
      welcome(false),
      { type: "history", messages: [kept("m1", "a")], atSeq: 1 },
      { type: "local_rate", messageId: "m1", rating: "down" },
      { type: "typing", who: "human", state: "on" },
    ]);
    expect(state.messages[0]?.rating).toBe("down");
    expect(state.humanTyping).toBe(true);
    state = play([{ type: "local_new_conversation" }], state);
    expect(state.messages).toEqual([]);
    expect(state.limits).not.toBeNull();
  });

  it("never changes what it was given", () => {
    const freeze = (state: ChatState): ChatState => {
      for (const one of state.messages) Object.freeze(one);
      Object.freeze(state.messages);
      return Object.freeze(state);
    };
    const inputs = [
      send("k1"),
      said("m1", "k1", "k1"),
      start("s1", "m2"),
      chunk("s1", "a"),
      complete("s1", "m2", 1),
      welcome(false),
    ];
    expect(() => inputs.reduce((state, input) => freeze(reduce(state, input)), freeze(EMPTY))).not.toThrow();
  });
});
