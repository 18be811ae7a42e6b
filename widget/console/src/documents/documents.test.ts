import { describe, expect, it } from "vitest";
import { Problem } from "../api";
import type { BotDocument } from "../resources";
import { withDocument, withoutDocument } from "./feed";
import { summary } from "./knowledge";
import { type SendFile, UploadQueue } from "./uploads";

function document(id: string, part: Partial<BotDocument> = {}): BotDocument {
  return {
    id,
    bot_id: "bot_1",
    name: `${id}.md`,
    title: null,
    media_type: "text/markdown",
    size_bytes: 10,
    status: "ready",
    progress: 1,
    error: null,
    pages: null,
    chunk_count: 3,
    version: 1,
    live_version: 1,
    created_at: `2026-01-01T00:00:0${id.slice(-1)}Z`,
    updated_at: "2026-01-01T00:01:00Z",
    ...part,
  };
}

describe("the feed", () => {
  const list = [document("doc_2"), document("doc_1")];

  it("puts a new document first and keeps the others in place", () => {
    expect(withDocument(list, document("doc_3")).map(({ id }) => id)).toEqual(["doc_3", "doc_2", "doc_1"]);
    expect(withDocument(list, document("doc_1", { progress: 0.5 })).map(({ id }) => id)).toEqual(["doc_2", "doc_1"]);
  });

  it("never goes back to an older state", () => {
    const older = document("doc_1", { status: "parsing", updated_at: "2026-01-01T00:00:30Z" });
    expect(withDocument(list, older)).toBe(list);
  });

  it("drops what was removed", () => expect(withoutDocument(list, "doc_2")).toEqual([list[1]]));

  it("sums up", () => {
    expect(summary([])).toBe("");
    const mixed = [
      ...list,
      document("doc_3", { status: "parsing", chunk_count: 0 }),
      document("doc_4", { status: "failed" }),
    ];
    expect(summary(mixed)).toBe("4 documents, 9 chunks, 1 being read, 1 failed");
  });
});

/** A server whose answers the test gives one by one. */
function pending() {
  const waiting: {
    name: string;
    done: () => void;
    fail: (failure: unknown) => void;
    progress: (share: number) => void;
  }[] = [];
  const send: SendFile = (_botId, file, progress) =>
    new Promise((done, fail) => waiting.push({ name: file.name, done: () => done(document("doc_1")), fail, progress }));
  return { waiting, send };
}

const settled = () => new Promise((done) => setTimeout(done));
const files = (count: number) => Array.from({ length: count }, (_none, index) => new File(["x"], `${index}.md`));

describe("the upload queue", () => {
  it("sends three at a time and hands over what arrived", async () => {
    const { waiting, send } = pending();
    const arrived: string[] = [];
    const queue = new UploadQueue(send, ({ id }) => arrived.push(id));
    queue.add("bot_1", files(5));
    expect(waiting.map(({ name }) => name)).toEqual(["0.md", "1.md", "2.md"]);
    waiting[1]?.progress(0.25);
    expect(queue.read()[1]).toMatchObject({ state: "sending", sent: 0.25 });
    waiting[0]?.done();
    await settled();
    expect(arrived).toEqual(["doc_1"]);
    expect(waiting).toHaveLength(4);
    expect(queue.read().map(({ state }) => state)).toEqual(["sending", "sending", "sending", "waiting"]);
  });

  it("keeps a failed file with its reason until it is sent or dismissed", async () => {
    const { waiting, send } = pending();
    const queue = new UploadQueue(send, () => undefined);
    queue.add("bot_1", files(1));
    waiting[0]?.fail(new Problem(415, { detail: "This kind of file cannot be read." }));
    await settled();
    const failed = queue.read()[0];
    expect(failed).toMatchObject({ state: "failed", problem: { message: "This kind of file cannot be read." } });
    queue.retry(failed?.key ?? 0);
    expect(queue.read()[0]).toMatchObject({ state: "sending", problem: null });
    queue.dismiss(failed?.key ?? 0);
    expect(queue.read()).toHaveLength(1);
    waiting[1]?.fail(new Error("broken"));
    await settled();
    queue.dismiss(failed?.key ?? 0);
    expect(queue.read()).toHaveLength(0);
  });
});
