/**
 * The drawn face: there at once, and there to stay where the 3D character may not or cannot run.
 *
 * The same cues move it through a few channels (lids, gaze, brows, smile, mouth, tilt, one hand).
 */

import type { Actor } from "../player";
import type { Animation, Cue, CueState } from "../protocol";

interface Pose {
  smile: number; // -1 frown .. 1 grin
  open: number; // mouth 0..1
  round: number; // mouth 0..1
  lid: number; // 0 open .. 1 closed
  gazeX: number; // -1..1
  gazeY: number;
  browL: number; // -1 low .. 1 high
  browR: number;
  worry: number; // inner brows up 0..1
  tilt: number; // degrees
  dip: number; // head down 0..1
  wave: number; // hand beside the face 0..1
  thumb: number;
}

const REST: Pose = {
  smile: 0.5,
  open: 0,
  round: 0,
  lid: 0.06,
  gazeX: 0,
  gazeY: 0,
  browL: 0,
  browR: 0,
  worry: 0,
  tilt: 0,
  dip: 0,
  wave: 0,
  thumb: 0,
};

type Layer = "base" | "emotion" | "gesture";

/** What each state changes, and on which layer; gaze hints and unknown states have no row. */
const STATES: Partial<Record<CueState, { readonly layer: Layer; readonly pose: Partial<Pose> }>> = {
  idle: { layer: "base", pose: {} },
  listening: { layer: "base", pose: { smile: 0.45, browL: 0.3, browR: 0.3, tilt: 3, dip: 0.1 } },
  thinking: {
    layer: "base",
    pose: { smile: 0.02, round: 0.5, gazeX: 0.7, gazeY: -0.9, browR: 0.9, browL: -0.2, tilt: 5 },
  },
  talk_calm: { layer: "base", pose: { smile: 0.42 } },
  talk_explain: { layer: "base", pose: { smile: 0.5, browL: 0.5, browR: 0.5, tilt: -2 } },
  happy: { layer: "emotion", pose: { smile: 1, open: 0.3, lid: 0.3, browL: 0.4, browR: 0.4, tilt: 4 } },
  concern: { layer: "emotion", pose: { smile: -0.4, worry: 1, gazeY: 0.2, dip: 0.2 } },
  neutral: { layer: "emotion", pose: {} },
  confused: { layer: "gesture", pose: { smile: -0.25, browL: 1, browR: -0.6, lid: 0.15, tilt: -9 } },
  wave: { layer: "gesture", pose: { smile: 1, open: 0.3, browL: 0.5, browR: 0.5, tilt: 4, wave: 1 } },
  thumbs_up: { layer: "gesture", pose: { smile: 0.95, lid: 0.15, browL: 0.3, browR: 0.3, tilt: -4, thumb: 1 } },
  nod: { layer: "gesture", pose: { smile: 0.55, dip: 1 } },
};

const GESTURE_MS: Partial<Record<CueState, number>> = { wave: 2200, thumbs_up: 1900, nod: 900, confused: 2200 };
const FRAME_MS = 33;
const SETTLE_MS = 110;
/** How much higher the inner end of a brow and of an upper lid is than the middle: friendly, not yet worried. */
const REST_LIFT = 2;
const LID_LIFT = 3;

const SVG = "http://www.w3.org/2000/svg";

function shape(tag: string, attributes: Record<string, string | number>, children: SVGElement[] = []): SVGElement {
  const element = document.createElementNS(SVG, tag) as SVGElement;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  element.append(...children);
  return element;
}

const INK = "#2b2233";
const HAIR = "#3b2c3e";
const SKIN = "#e8b48f";
const SKIN_SHADE = "#d99d78";

export interface FaceOptions {
  readonly container: HTMLElement;
  readonly accent: string;
  readonly reducedMotion: boolean;
}

export class Face implements Actor {
  private readonly svg: SVGElement;
  private readonly parts: Record<string, SVGElement> = {};
  private pose: Pose = { ...REST };
  private base: CueState = "idle";
  private emotion: { state: CueState; w: number } | null = null;
  private gesture: { state: CueState; until: number } | null = null;
  private waiting: Cue[] = [];
  private seen = new Set<string>();
  private chars = 0;
  private mouth = 0;
  private roundness = 0;
  private blinkAt = 2000;
  private look_ = { x: 0, y: 0 };
  private clock = 0;
  private last = 0;
  private handle = 0;
  private paused = false;
  private readonly still: boolean;

  constructor({ container, accent, reducedMotion }: FaceOptions) {
    this.still = reducedMotion;
    this.svg = this.drawing(accent);
    container.append(this.svg);
    this.draw();
    this.resume();
  }

  // The actor's part --------------------------------------------------------------------------------------------------
  begin(_streamId: string): void {
    this.waiting = [];
    this.seen.clear();
    this.chars = 0;
    this.emotion = null;
  }

  cue(cues: readonly Cue[]): void {
    for (const cue of cues) {
      if (cue.cancel) this.cancel(cue.cancel);
      else if (cue.id && this.seen.has(cue.id)) continue;
      else if ((cue.at?.char ?? 0) > this.chars) this.waiting.push(cue);
      else this.fire(cue);
      if (cue.id) this.seen.add(cue.id);
    }
  }

  animate(name: Animation): void {
    this.fire({ state: name });
  }

  reveal(chars: number, piece: string): void {
    this.chars = chars;
    if (this.base === "thinking" || this.base === "idle" || this.base === "listening") this.base = "talk_calm";
    const due = this.waiting.filter((cue) => (cue.at?.char ?? 0) <= chars);
    this.waiting = this.waiting.filter((cue) => !due.includes(cue));
    for (const cue of due) this.fire(cue);
    this.speak(piece);
  }

  end(): void {
    for (const cue of this.waiting.splice(0)) this.fire(cue);
    this.base = "idle";
    this.settle();
  }

  listen(on: boolean): void {
    if (this.base === "idle" || this.base === "listening") this.base = on ? "listening" : "idle";
    this.settle();
  }

  look(x: number, y: number): void {
    this.look_ = { x, y };
  }

  pause(): void {
    this.paused = true;
    cancelAnimationFrame(this.handle);
  }

  resume(): void {
    this.paused = this.still;
    cancelAnimationFrame(this.handle);
    this.last = 0;
    if (!this.paused) this.handle = requestAnimationFrame((now) => this.tick(now));
  }

  dispose(): void {
    this.pause();
    this.svg.remove();
  }

  private cancel(which: string): void {
    this.waiting = which === "*" ? [] : this.waiting.filter((cue) => cue.id !== which);
    if (which === "*") this.gesture = null;
  }

  private fire({ state, w = 1 }: Cue): void {
    const row = state ? STATES[state] : undefined;
    if (!state || !row) return;
    if (row.layer === "base") this.base = state;
    else if (row.layer === "emotion") this.emotion = state === "neutral" ? null : { state, w };
    else this.gesture = { state, until: this.clock + (GESTURE_MS[state] ?? 1500) };
    this.settle();
  }

  private speak(piece: string): void {
    const letter = piece.match(/\p{L}/gu)?.at(-1)?.toLowerCase() ?? "";
    this.mouth = "aeiouyäöüáéíóú".includes(letter) && letter ? 0.75 : "mbp".includes(letter) ? 0.02 : 0.35;
    this.roundness = "ouwöü".includes(letter) && letter ? 0.8 : 0.1;
  }

  /** Without motion there is no clock: take the pose at once. */
  private settle(): void {
    if (!this.still) return;
    this.pose = { ...this.wanted(), wave: 0 };
    this.draw();
  }

  // Motion ------------------------------------------------------------------------------------------------------------
  private tick(now: number): void {
    if (this.paused) return;
    this.handle = requestAnimationFrame((next) => this.tick(next));
    const elapsed = this.last ? now - this.last : FRAME_MS;
    if (elapsed < FRAME_MS) return;
    this.last = now;
    this.clock += Math.min(elapsed, 200);
    if (this.gesture && this.clock > this.gesture.until) this.gesture = null;
    this.mouth *= 0.8;
    this.approach(this.wanted(), 1 - Math.exp(-Math.min(elapsed, 200) / SETTLE_MS));
    this.draw();
  }

  private wanted(): Pose {
    const wanted: Pose = { ...REST, ...STATES[this.base]?.pose };
    if (this.emotion) blend(wanted, STATES[this.emotion.state]?.pose ?? {}, this.emotion.w);
    if (this.gesture) blend(wanted, STATES[this.gesture.state]?.pose ?? {}, 1);
    if (this.gesture?.state === "nod") wanted.dip = 0.5 - 0.5 * Math.cos(this.clock / 75);
    wanted.open = Math.max(wanted.open, this.mouth);
    wanted.round = Math.max(wanted.round, this.mouth > 0.1 ? this.roundness : 0);
    wanted.gazeX += this.look_.x * 0.6;
    wanted.gazeY -= this.look_.y * 0.6;
    wanted.tilt += Math.sin(this.clock / 1900) * 0.8;
    if (this.clock > this.blinkAt) {
      wanted.lid = 1;
      if (this.clock > this.blinkAt + 130) this.blinkAt = this.clock + 2000 + Math.random() * 4000;
    }
    return wanted;
  }

  private approach(wanted: Pose, share: number): void {
    for (const name of Object.keys(wanted) as (keyof Pose)[]) {
      const quick = name === "open" || name === "lid" ? Math.min(1, share * 2.2) : share;
      this.pose[name] += (wanted[name] - this.pose[name]) * quick;
    }
  }

  // Drawing -----------------------------------------------------------------------------------------------------------
  private part(
    name: string,
    tag: string,
    attributes: Record<string, string | number>,
    children: SVGElement[] = [],
  ): SVGElement {
    const element = shape(tag, attributes, children);
    this.parts[name] = element;
    return element;
  }

  private drawing(accent: string): SVGElement {
    const line = { fill: "none", stroke: INK, "stroke-width": 3.4, "stroke-linecap": "round" };
    const eye = (side: "L" | "R", x: number) =>
      shape("g", {}, [
        shape("ellipse", { cx: x, cy: 96, rx: 13, ry: 15.5, fill: "#fff" }),
        this.part(`iris${side}`, "g", {}, [
          shape("ellipse", { cx: x, cy: 97, rx: 9.2, ry: 11.4, fill: "#3f8f8c" }),
          shape("ellipse", { cx: x, cy: 98, rx: 5, ry: 6.4, fill: "#152028" }),
          shape("circle", { cx: x + 3.4, cy: 92.5, r: 3, fill: "#fff" }),
          shape("circle", { cx: x - 3, cy: 102, r: 1.5, fill: "#fff", opacity: 0.8 }),
        ]),
        this.part(`lid${side}`, "path", { fill: SKIN }),
        this.part(`lash${side}`, "path", { ...line, "stroke-width": 3.6 }),
      ]);
    const head = this.part("head", "g", {}, [
      shape("path", { d: "M52 100c-6-58 22-74 48-74s54 16 48 74c-1 16-4 34-8 44H60c-4-10-7-28-8-44Z", fill: HAIR }),
      shape("path", { d: "M100 38c31 0 43 24 43 52 0 30-20 58-43 58s-43-28-43-58c0-28 12-52 43-52Z", fill: SKIN }),
      shape("ellipse", { cx: 67, cy: 118, rx: 9, ry: 6, fill: "#e8806f", opacity: 0.32 }),
      shape("ellipse", { cx: 133, cy: 118, rx: 9, ry: 6, fill: "#e8806f", opacity: 0.32 }),
      eye("L", 80),
      eye("R", 120),
      this.part("browL", "path", { ...line, "stroke-width": 4.2, stroke: HAIR }),
      this.part("browR", "path", { ...line, "stroke-width": 4.2, stroke: HAIR }),
      shape("path", { d: "M97 112c1.500 2.600 5 2.600 6.500 0", ...line, stroke: SKIN_SHADE, "stroke-width": 3 }),
      this.part("inside", "path", { fill: "#7c2d3a" }),
      this.part("lip", "path", { ...line, stroke: "#a5484d", "stroke-width": 3 }),
      shape("path", {
        d: "M55 92c-2-42 20-60 46-60s48 18 44 58c-7-9-12-22-14-33-12 8-42 11-58 7-5 6-13 15-18 26Z",
        fill: HAIR,
      }),
      shape("path", { d: "M97 30c-1-7 3-12 10-13-3 3-4 8-2 13Z", fill: HAIR }),
      shape("path", {
        d: "M50 96C48 50 70 22 100 22s52 28 50 74",
        fill: "none",
        stroke: accent,
        "stroke-width": 6,
        "stroke-linecap": "round",
      }),
      shape("rect", { x: 42, y: 86, width: 14, height: 32, rx: 7, fill: accent }),
      shape("rect", { x: 144, y: 86, width: 14, height: 32, rx: 7, fill: accent }),
      shape("path", { d: "M151 118c0 16-10 24-24 26", fill: "none", stroke: INK, "stroke-width": 3 }),
      shape("ellipse", { cx: 125, cy: 144.5, rx: 6, ry: 4, fill: INK }),
    ]);
    const hand = shape("g", {}, [
      shape("path", { d: "M-9 4c0-8 4-12 10-12s10 4 10 12v26H-9Z", fill: accent }),
      shape("circle", { cx: 1, cy: -12, r: 10, fill: SKIN }),
      ...[-26, -9, 8, 25].map((angle) =>
        shape("rect", {
          x: -1.5,
          y: -33,
          width: 5.4,
          height: 18,
          rx: 2.7,
          fill: SKIN,
          transform: `rotate(${angle} 1 -12)`,
        }),
      ),
      shape("rect", { x: -15, y: -17, width: 14, height: 5.6, rx: 2.8, fill: SKIN, transform: "rotate(20 -8 -12)" }),
    ]);
    const fist = shape("g", {}, [
      shape("path", { d: "M-10 8c0-8 4-12 10-12s10 4 10 12v26h-20Z", fill: accent }),
      shape("rect", { x: -11, y: -18, width: 22, height: 20, rx: 8, fill: SKIN }),
      shape("rect", { x: -9, y: -36, width: 7, height: 22, rx: 3.5, fill: SKIN }),
      shape("path", { d: "M0-12h9M0-6h9", ...line, stroke: SKIN_SHADE, "stroke-width": 1.6 }),
    ]);
    return shape("svg", { viewBox: "0 0 200 200", class: "drawn", "aria-hidden": "true", focusable: "false" }, [
      shape("path", { d: "M30 214c0-34 26-50 70-50s70 16 70 50Z", fill: accent }),
      shape("path", { d: "M86 140h28v24c0 10-28 10-28 0Z", fill: SKIN_SHADE }),
      shape("path", { d: "M72 168c4 14 52 14 56 0 6 4 8 8 6 13-8 13-60 13-68 0-2-5 0-9 6-13Z", fill: accent }),
      shape("path", {
        d: "M72 168c4 14 52 14 56 0 6 4 8 8 6 13-8 13-60 13-68 0-2-5 0-9 6-13Z",
        fill: "#000",
        opacity: 0.16,
      }),
      shape("path", { d: "M90 184v14M110 184v11", ...line, stroke: "#fff", "stroke-width": 2.4, opacity: 0.85 }),
      head,
      this.part("wave", "g", {}, [hand]),
      this.part("thumb", "g", {}, [fist]),
    ]);
  }

  private set(name: string, attribute: string, value: string): void {
    this.parts[name]?.setAttribute(attribute, value);
  }

  private draw(): void {
    const { pose } = this;
    this.set("head", "transform", `translate(0 ${round(pose.dip * 7)}) rotate(${round(pose.tilt)} 100 150)`);
    for (const [side, x, brow, inner] of [
      ["L", 80, pose.browL, 1],
      ["R", 120, pose.browR, -1],
    ] as const) {
      this.set(`iris${side}`, "transform", `translate(${round(pose.gazeX * 3.4)} ${round(pose.gazeY * 3)})`);
      this.drawLid(side, x);
      const y = 75 - brow * 6;
      // Level brows look stern under the fringe: the inner ends are a little higher at rest.
      const lift = (REST_LIFT + pose.worry * 6) * inner;
      this.set(
        `brow${side}`,
        "d",
        `M${x - 12} ${round(y + 2 + lift)}Q${x} ${round(y - 4)} ${x + 12} ${round(y + 2 - lift)}`,
      );
    }
    this.drawMouth();
    const swing = Math.sin(this.clock / 130) * 18 * pose.wave;
    this.set("wave", "transform", `translate(38 ${round(230 - pose.wave * 78)}) rotate(${round(-14 + swing)} 0 26)`);
    this.set("thumb", "transform", `translate(42 ${round(240 - pose.thumb * 72)}) rotate(8)`);
  }

  private drawLid(side: "L" | "R", x: number): void {
    const y = 80 + this.pose.lid * 26;
    const bow = 8 * (1 - this.pose.lid * 1.5);
    const lift = (side === "L" ? LID_LIFT : -LID_LIFT) * (1 - this.pose.lid);
    const edge = `M${x - 14} ${round(y + bow + lift)}Q${x} ${round(y - bow)} ${x + 14} ${round(y + bow - lift)}`;
    this.set(`lid${side}`, "d", `${edge}L${x + 15} 78L${x - 15} 78Z`);
    this.set(`lash${side}`, "d", edge);
  }

  private drawMouth(): void {
    const { smile, open, round: roundness } = this.pose;
    const width = 15 * (1 - roundness * 0.45) * (1 + Math.max(0, smile) * 0.15);
    const y = 127;
    const corner = round(y - smile * 4);
    const upper = round(y + smile * 4 - open * 3);
    const lower = round(y + smile * 5 + open * 17);
    const edge = `M${round(100 - width)} ${corner}Q100 ${upper} ${round(100 + width)} ${corner}`;
    const shut = open < 0.06;
    this.set("inside", "d", shut ? "" : `${edge}Q100 ${lower} ${round(100 - width)} ${corner}Z`);
    this.set(
      "lip",
      "d",
      shut
        ? `M${round(100 - width)} ${corner}Q100 ${round(y + smile * 8)} ${round(100 + width)} ${corner}`
        : `${edge}Q100 ${lower} ${round(100 - width)} ${corner}Z`,
    );
  }
}

function blend(pose: Pose, towards: Partial<Pose>, share: number): void {
  for (const [name, value] of Object.entries(towards) as [keyof Pose, number][])
    pose[name] += (value - pose[name]) * share;
}

const round = (value: number) => Math.round(value * 10) / 10;
