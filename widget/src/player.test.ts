import { beforeEach, describe, expect, it } from "vitest";
import { type Actor, type Clock, Player } from "./player";
import type { ServerFrame } from "./protocol";

class Stage implements Actor {
  readonly log: string[] = [];
  begin = (id: string) => void this.log.push(`begin ${id}`);
  cue: Actor["cue"] = (cues) =>
    void this.log.push(
      ...cues.map((cue) => (cue.cancel ? `cancel ${cue.cancel}` : `cue ${cue.state}@${cue.at?.char ?? "now"}`)),
    );
  animate = (name: string) => void this.log.push(`animate ${name}`);
  reveal = (chars: number, piece: string) => void this.log.push(`reveal ${chars} ${piece}`);
  end = () => void this.log.push("end");
  listen = () => undefined;
  look = () => undefined;
  pause = () => undefined;
  resume = () => undefined;
  dispose = () => undefined;
}

class Frames implements Clock {
  private next: ((now: number) => void) | null = null;
  private now = 1000;
  frame(callback: (now: number) => void): number {
    this.next = callback;
    return 1;
  }
  cancel(): void {
    this.next = null;
  }
  /** Let `count` frames of `ms` pass; returns how many were asked for. */
  run(count = 1000, ms = 20): number {
    let done = 0;
    while (this.next && done < count) {
      const next = this.next;
      this.next = null;
      this.now += ms;
      next(this.now);
      done += 1;
    }
    return done;
  }
}

const start: ServerFrame = {
  type: "stream_start",
  streamId: "s1",
  chatbotId: "b",
  messageId: "m",
  replyTo: "q",
  attempt: 1,
  animation: "thinking",
};
const chunk = (text: string, more: object = {}): ServerFrame => ({
  type: "stream_chunk",
  streamId: "s1",
  chunk: text,
  ...more,
});
const complete = (finishReason: "stop" | "cancelled"): ServerFrame => ({
  type: "stream_complete",
  streamId: "s1",
  messageId: "m",
  sentiment: "neutral",
  animation: "idle",
  finishReason,
  chars: 5,
});

let stage: Stage;
let frames: Frames;
let player: Player;
let cues: string[];
beforeEach(() => {
  stage = new Stage();
  frames = new Frames();
  cues = [];
  player = new Player(
    () => false,
    (name) => cues.push(name),
    frames,
  );
  player.cast(stage);
});

describe("playing an answer", () => {
  it("reveals every character once, in order, then ends", () => {
    player.take(start, "");
    player.take(chunk("Hello "), "Hello ");
    player.take(chunk("there"), "Hello there");
    player.take(complete("stop"), "Hello there");
    frames.run();
    const pieces = stage.log
      .filter((line) => line.startsWith("reveal"))
      .map((line) => line.replace(/^reveal \d+ /, ""));
    expect(pieces.join("")).toBe("Hello there");
    expect(stage.log.at(-1)).toBe("end");
    expect(player.shown.value).toEqual({ streamId: "s1", chars: 11, done: true });
    expect(frames.run()).toBe(0);
  });

  it("hands cues on; without cues the short form, at its own text", () => {
    player.take(start, "");
    player.take(chunk("ab", { cue: [{ id: "c1", state: "happy", at: { char: 0 } }], animation: "happy" }), "ab");
    player.take(chunk("cd", { animation: "talk_explain" }), "abcd");
    player.take(chunk("ZZ", { animation: "happy", pos: 3, from: 1 }), "abcZZ");
    expect(stage.log).toEqual(["begin s1", "cue thinking@0", "cue happy@0", "cue talk_explain@2", "cue happy@3"]);
    expect(cues).toEqual(["thinking", "happy", "talk_explain", "happy"]);
  });

  it("stops its clock when nothing is left to show, and wakes with the next text", () => {
    player.take(start, "");
    player.take(chunk("ab"), "ab");
    expect(frames.run()).toBeLessThan(20);
    player.take(chunk("cd"), "abcd");
    expect(frames.run()).toBeGreaterThan(0);
  });

  it("takes text and its cues back", () => {
    player.take(start, "");
    player.take(
      chunk("abcdef", {
        cue: [
          { id: "c1", state: "happy", at: { char: 5 } },
          { id: "c2", state: "nod", at: { char: 1 } },
        ],
      }),
      "abcdef",
    );
    frames.run();
    player.take({ type: "stream_reset", streamId: "s1", reason: "failover", keepChars: 3 }, "abc");
    frames.run();
    expect(stage.log).toContain("cancel c1");
    expect(stage.log).not.toContain("cancel c2");
    expect(player.shown.value?.chars).toBe(3);
  });

  it("shows a stopped answer at once", () => {
    player.take(start, "");
    player.take(chunk("x".repeat(500)), "x".repeat(500));
    frames.run(3);
    player.take(complete("cancelled"), "x".repeat(500));
    frames.run(1);
    expect(player.shown.value).toEqual({ streamId: "s1", chars: 500, done: true });
  });

  it("what was missed is there at once, what follows is revealed", () => {
    player.take(
      {
        type: "stream_snapshot",
        streamId: "s1",
        messageId: "m",
        replyTo: "q",
        text: "x".repeat(200),
        animation: "talk_calm",
      },
      "x".repeat(200),
    );
    frames.run(1);
    expect(player.shown.value?.chars).toBeLessThanOrEqual(200);
    player.take(chunk("y".repeat(50)), "x".repeat(200) + "y".repeat(50));
    frames.run(2);
    expect(player.shown.value?.chars).toBeLessThan(250);
  });

  it("hands the role over in mid-answer without playing what is past", () => {
    player.take(start, "");
    player.take(
      chunk("abcdef", {
        cue: [
          { id: "c1", state: "nod", at: { char: 0 } },
          { id: "c2", state: "happy", at: { char: 400 } },
        ],
      }),
      "abcdef",
    );
    frames.run();
    const next = new Stage();
    player.cast(next);
    expect(next.log).toEqual(["begin s1", "cue happy@400", "reveal 6 "]);
  });

  it("plays cues outside a stream at once", () => {
    player.take({ type: "animation", animation: "wave" }, "");
    player.take({ type: "animation", animation: "wave", cue: [{ id: "o1", state: "wave" }] }, "");
    expect(stage.log).toEqual(["animate wave", "cue wave@now"]);
  });
});
