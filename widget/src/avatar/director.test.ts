import { describe, expect, it } from "vitest";
import { ANIMATIONS, type Cue } from "../protocol";
import { CHANNELS, CLIPS } from "./clips";
import * as director from "./director";

const { createState, receive, reveal, begin, end, step, summary, emotionWeights, animate, listen } = director;
const FRAME = 16;

function run(state: director.State, ms: number, each?: () => void): void {
  for (let t = 0; t < ms; t += FRAME) {
    step(state, FRAME);
    each?.();
  }
}

/** A stream in progress with `chars` characters revealed just now. */
function speaking(chars = 0): director.State {
  const state = createState();
  begin(state, "s1");
  run(state, 2000);
  if (chars > 0) reveal(state, chars, "x".repeat(chars));
  return state;
}

describe("anchors", () => {
  it("fires a cue when the reveal passes its character", () => {
    const state = speaking(10);
    receive(state, [{ id: "c1", state: "happy", at: { char: 50 } }]);
    run(state, 100);
    expect(summary(state).emotion).toBe("neutral");
    reveal(state, 49, "a");
    expect(summary(state).emotion).toBe("neutral");
    reveal(state, 51, "ab");
    expect(summary(state).emotion).toBe("happy");
  });
  it("fires a cue without an anchor at once", () => {
    const state = speaking();
    receive(state, [{ id: "c1", state: "wave" }]);
    expect(summary(state).gesture).toBe("wave");
  });
  it("ignores a repeated id", () => {
    const state = speaking();
    receive(state, [{ id: "c1", state: "nod" }]);
    run(state, 12000);
    receive(state, [{ id: "c1", state: "nod" }]);
    expect(summary(state).gesture).toBeNull();
  });
  it("takes the same id again in a new stream", () => {
    const state = speaking();
    receive(state, [{ id: "c1", state: "nod" }]);
    run(state, 12000);
    end(state);
    begin(state, "s2");
    receive(state, [{ id: "c1", state: "nod" }]);
    expect(summary(state).gesture).toBe("nod");
  });
  it("skips a gesture more than a second late and halves the hold of a feeling", () => {
    const state = speaking(20);
    run(state, 1200);
    reveal(state, 40, "y");
    receive(state, [
      { id: "c1", state: "wave", at: { char: 5 } },
      { id: "c2", state: "happy", at: { char: 5 }, hold: 8000, min: 0 },
    ]);
    expect(summary(state)).toMatchObject({ gesture: null, emotion: "happy" });
    run(state, 3900);
    expect(summary(state).emotion).toBe("happy");
    run(state, 200);
    expect(summary(state).emotion).toBe("neutral");
  });
  it("plays a gesture less than a second late", () => {
    const state = speaking(20);
    run(state, 600);
    receive(state, [{ id: "c1", state: "wave", at: { char: 5 } }]);
    expect(summary(state).gesture).toBe("wave");
  });
  it("voids pending cues past a reset of the stream", () => {
    const state = speaking(60);
    receive(state, [{ id: "c1", state: "happy", at: { char: 80 } }]);
    reveal(state, 40, "");
    reveal(state, 90, "text");
    expect(summary(state).emotion).toBe("neutral");
  });
  it("does not replay gestures of text that jumps in at once", () => {
    const state = speaking();
    receive(state, [
      { id: "c1", state: "wave", at: { char: 5 } },
      { id: "c2", state: "happy", at: { char: 9 } },
    ]);
    reveal(state, 900, "a long answer from before. ");
    receive(state, [{ id: "c3", state: "nod", at: { char: 400 } }]);
    expect(summary(state)).toMatchObject({ gesture: null, emotion: "happy" });
  });
  it("holds -1 until the sentence ends", () => {
    const state = speaking(10);
    receive(state, [{ id: "c1", state: "happy", hold: -1, min: 0 }]);
    run(state, 4000);
    expect(summary(state).emotion).toBe("happy");
    reveal(state, 20, "the end. Next");
    run(state, 50);
    expect(summary(state).emotion).toBe("neutral");
  });
});

describe("priority and dwell", () => {
  it("does not let a sentiment shorten an intent", () => {
    const state = speaking();
    receive(state, [{ id: "a", state: "concern", prio: 300 }]);
    run(state, 1000);
    receive(state, [{ id: "b", state: "happy", prio: 200 }]);
    run(state, 1400);
    expect(summary(state).emotion).toBe("concern");
    run(state, 300);
    expect(summary(state).emotion).toBe("happy");
  });
  it("keeps the stronger of two waiting feelings", () => {
    const state = speaking();
    receive(state, [
      { id: "a", state: "happy" },
      { id: "b", state: "concern", src: "intent" },
      { id: "c", state: "confused", src: "sentiment" },
    ]);
    run(state, 2600);
    expect(summary(state).emotion).toBe("concern");
  });
  it("ignores the same feeling unless its strength differs by more than .15", () => {
    const state = speaking();
    receive(state, [{ id: "a", state: "happy", w: 0.5 }]);
    run(state, 3000);
    receive(state, [{ id: "b", state: "happy", w: 0.6 }]);
    run(state, 3000);
    expect(state.emotions.length).toBe(1);
    expect(state.emotions[0]?.id).toBe("a");
    receive(state, [{ id: "c", state: "happy", w: 0.9 }]);
    expect(state.emotions.at(-1)?.id).toBe("c");
  });
  it("changes base only after 1.2 s, but at once after a cancel of everything", () => {
    const state = speaking();
    receive(state, [{ id: "a", state: "talk_explain" }]);
    run(state, 200);
    receive(state, [{ id: "b", state: "talk_calm" }]);
    run(state, 900);
    expect(summary(state).base).toBe("talk_explain");
    run(state, 200);
    expect(summary(state).base).toBe("talk_calm");
    receive(state, [{ cancel: "*" }, { id: "c", state: "listening" }]);
    step(state, FRAME);
    expect(summary(state).base).toBe("listening");
  });
  it("leaves a base with a hold by itself", () => {
    const state = speaking();
    receive(state, [{ id: "a", state: "talk_explain", hold: 1500 }]);
    run(state, 1400);
    expect(summary(state).base).toBe("talk_explain");
    run(state, 200);
    expect(summary(state).base).toBe("talk_calm");
  });
  it("thinks only if still wanted after 250 ms", () => {
    const quick = speaking();
    receive(quick, [{ id: "a", state: "thinking" }]);
    run(quick, 150);
    reveal(quick, 3, "Yes");
    run(quick, 1000);
    expect(summary(quick).base).toBe("talk_calm");
    const slow = speaking();
    receive(slow, [{ id: "a", state: "thinking" }]);
    run(slow, 300);
    expect(summary(slow).base).toBe("thinking");
  });
});

describe("gestures", () => {
  it("plays one at a time and queues one", () => {
    const state = speaking();
    animate(state, "wave");
    animate(state, "nod");
    animate(state, "thumbs_up");
    expect(summary(state).gesture).toBe("wave");
    run(state, CLIPS.wave.ms + 40);
    expect(summary(state).gesture).toBe("thumbs_up");
    run(state, 4000);
    expect(summary(state).gesture).toBeNull();
  });
  it("keeps three seconds between any two cues and eight between the same", () => {
    const state = speaking();
    receive(state, [{ id: "a", state: "nod" }]);
    run(state, 2000);
    receive(state, [{ id: "b", state: "wave" }]);
    expect(summary(state).gesture).toBeNull();
    run(state, 1100);
    receive(state, [{ id: "c", state: "nod" }]);
    expect(summary(state).gesture).toBeNull();
    receive(state, [{ id: "d", state: "wave" }]);
    expect(summary(state).gesture).toBe("wave");
  });
});

describe("a turn", () => {
  it("talks while text comes and is idle 400 ms after the end", () => {
    const state = speaking();
    reveal(state, 5, "Hello");
    run(state, 1500);
    expect(summary(state).base).toBe("talk_calm");
    end(state);
    run(state, 380);
    expect(summary(state).base).toBe("talk_calm");
    run(state, 40);
    expect(summary(state).base).toBe("idle");
    run(state, 600);
    expect(summary(state).mouth).toBe(0);
  });
  it("lets the last feeling finish its dwell, then fades it", () => {
    const state = speaking(5);
    receive(state, [{ id: "a", state: "happy" }]);
    end(state);
    run(state, 2400);
    expect(summary(state).emotion).toBe("happy");
    run(state, 200);
    expect(summary(state).emotion).toBe("neutral");
    run(state, 700);
    expect(emotionWeights(state).reduce((sum, e) => sum + e.w, 0)).toBe(0);
  });
  it("listens only when it is quiet", () => {
    const state = createState();
    listen(state, true);
    expect(summary(state).base).toBe("listening");
    begin(state, "s1");
    run(state, 1300);
    reveal(state, 4, "Well");
    listen(state, false);
    run(state, 100);
    expect(summary(state).base).toBe("talk_calm");
  });
  it("shuts the mouth within 150 ms of a barge-in", () => {
    const state = speaking();
    for (let i = 1; i < 40; i++) {
      reveal(state, i, "a o"[i % 3] ?? "a");
      step(state, FRAME);
    }
    expect(summary(state).mouth).toBeGreaterThan(0);
    receive(state, [{ cancel: "*" }]);
    run(state, 144);
    expect(summary(state).mouth).toBe(0);
  });
});

describe("what comes off the wire", () => {
  it("ignores states and layers it does not know", () => {
    const state = speaking();
    const odd = [
      { id: "a", state: "dance" },
      { id: "b", state: "happy", layer: "base" },
      { id: "c", state: "__proto__" },
      { id: "d" },
      { id: "e", state: "idle", layer: "gesture" },
    ];
    receive(state, odd as Cue[]);
    run(state, 100);
    expect(summary(state)).toMatchObject({ base: "idle", emotion: "neutral", gesture: null });
  });
  it("survives numbers that are none", () => {
    const state = speaking();
    receive(state, [
      { id: "a", state: "happy", w: Number.NaN, in: -5, hold: Number.POSITIVE_INFINITY, min: Number.NaN },
    ]);
    run(state, 500);
    for (const channel of CHANNELS) expect(Number.isFinite(state.shown[channel])).toBe(true);
  });
  it("has a motion for every public state", () => {
    for (const name of ANIMATIONS) {
      const rest = createState({ seed: 1 });
      const state = createState({ seed: 1 });
      animate(state, name);
      run(rest, 600);
      run(state, 600);
      const moved = CHANNELS.reduce((sum, c) => sum + Math.abs(state.shown[c] - rest.shown[c]), 0);
      if (name !== "idle") expect(moved, name).toBeGreaterThan(0.05);
    }
  });
});

/** Reproducible random numbers, so that a failure can be run again. */
function random(seed: number): () => number {
  let x = seed;
  return () => {
    x = (x * 1664525 + 1013904223) % 4294967296;
    return x / 4294967296;
  };
}

describe("any stream of cues", () => {
  const STATES = [...ANIMATIONS, "listening", "concern", "neutral", "text", "away"] as const;
  it.each(Array.from({ length: 24 }, (_unused, i) => i + 1))("keeps the promises (seed %i)", (seed) => {
    const next = random(seed);
    const state = createState({ seed });
    begin(state, "s");
    const bases: number[] = [];
    const feelings: number[] = [];
    let was = summary(state);
    let chars = 0;
    let jump = 0;
    for (let i = 0; i < 1500; i++) {
      if (next() < 0.06) {
        const name = STATES[Math.floor(next() * STATES.length)] as (typeof STATES)[number];
        const anchor = next() < 0.5 ? { at: { char: Math.max(1, chars + Math.floor((next() - 0.3) * 200)) } } : {};
        receive(state, [
          {
            id: `c${i}`,
            state: name,
            w: next(),
            prio: [100, 200, 220, 300][Math.floor(next() * 4)] as number,
            ...anchor,
          },
        ]);
      }
      if (next() < 0.6) reveal(state, ++chars, "the quick, brown fox. "[chars % 22] as string);
      const before = { ...state.shown };
      step(state, 16 + next() * 20);
      const now = summary(state);
      if (now.base !== was.base) bases.push(state.now);
      if (now.emotion !== was.emotion && now.emotion !== "neutral") feelings.push(state.now);
      was = now;
      expect(emotionWeights(state).reduce((sum, e) => sum + e.w, 0)).toBeLessThanOrEqual(1 + 1e-9);
      expect(state.gestures.filter((g) => !g.leaving).length).toBeLessThanOrEqual(1);
      for (const c of ["bendR", "outL", "headZ"] as const) jump = Math.max(jump, Math.abs(state.shown[c] - before[c]));
    }
    const gaps = (times: number[]): number[] => times.slice(1).map((t, i) => t - (times[i] as number));
    for (const gap of gaps(bases)) expect(gap).toBeGreaterThanOrEqual(1200 - 40);
    for (const gap of gaps(feelings)) expect(gap).toBeGreaterThanOrEqual(2500 - 40);
    expect(jump).toBeLessThan(0.6); // nothing snaps
    end(state);
    run(state, 6000);
    expect(summary(state)).toMatchObject({ base: "idle", emotion: "neutral", gesture: null, mouth: 0 });
    expect(state.mouth.current).toBe("sil");
  });
  it("is the same performance for the same seed", () => {
    const play = (): number[] => {
      const state = createState({ seed: 5 });
      animate(state, "wave");
      run(state, 3000);
      return CHANNELS.map((c) => state.shown[c]);
    };
    expect(play()).toEqual(play());
  });
});

describe("reduced motion", () => {
  it("holds a still pose: no blink, no breath, no lips", () => {
    const state = createState({ still: true });
    begin(state, "s");
    reveal(state, 5, "Hello");
    run(state, 3000);
    const first = { ...state.shown };
    for (let i = 0; i < 60; i++) {
      reveal(state, 6 + i, "a");
      run(state, 50);
      for (const c of CHANNELS) expect(Math.abs(state.shown[c] - first[c])).toBeLessThan(0.001);
    }
    expect(summary(state).mouth).toBe(0);
  });
});
