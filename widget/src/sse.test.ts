import { expect, it } from "vitest";
import { EventParser } from "./sse";

const STREAM =
  'retry: 1000\n\n: ping\n\nid: e:1\nevent: ack\ndata: {"a":1}\r\n\r\ndata: one\ndata: two\n\nevent: close\rdata:{}\r\r';

it("reads events, whatever the pieces", () => {
  for (const size of [1, 2, 3, 7, 1000]) {
    const parser = new EventParser();
    const events = [];
    for (let at = 0; at < STREAM.length; at += size) events.push(...parser.push(STREAM.slice(at, at + size)));
    events.push(...parser.push("\n"));
    expect(events).toEqual([
      { event: "ack", data: '{"a":1}', id: "e:1" },
      { event: "message", data: "one\ntwo", id: "e:1" },
      { event: "close", data: "{}", id: "e:1" },
    ]);
  }
});
