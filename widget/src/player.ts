/**
 * Plays the running answer: one clock reveals the text and moves the avatar, so both tell the same story.
 *
 * The 3D character and the drawn face are both an Actor; the player does not know which one it drives.
 */

import { signal } from "@preact/signals";
import type { Animation, Cue, CueState, ServerFrame } from "./protocol";
import * as reveal from "./reveal";

export interface Actor {
  begin(streamId: string): void;
  cue(cues: readonly Cue[]): void;
  animate(name: Animation): void;
  /** `chars` of the text are shown, the newest of them being `piece`. */
  reveal(chars: number, piece: string): void;
  end(): void;
  listen(on: boolean): void;
  /** Where the pointer is, each axis -1..1 from the middle of the stage, y upward. */
  look(x: number, y: number): void;
  pause(): void;
  resume(): void;
  dispose(): void;
}

export interface Shown {
  readonly streamId: string;
  readonly chars: number;
  /** All of the finished text is there. */
  readonly done: boolean;
}

interface Run {
  readonly streamId: string;
  text: string;
  buffer: reveal.Reveal;
  cues: Cue[];
  shown: number;
}

/** Where time comes from: the browser's frames, or a test's. */
export interface Clock {
  frame(callback: (nowMs: number) => void): number;
  cancel(handle: number): void;
}

export const browserClock: Clock = {
  frame: (callback) => requestAnimationFrame(callback),
  cancel: (handle) => cancelAnimationFrame(handle),
};

export class Player {
  readonly shown = signal<Shown | null>(null);
  private run: Run | null = null;
  private actor: Actor | null = null;
  private handle = 0;
  private last = 0;
  private made = 0;
  private readonly instant: () => boolean;
  private readonly onCue: (state: string) => void;
  private readonly clock: Clock;

  constructor(instant: () => boolean, onCue: (state: string) => void, clock: Clock = browserClock) {
    this.instant = instant;
    this.onCue = onCue;
    this.clock = clock;
  }

  /** Hand the role over, also in mid-answer; null = nobody on stage. */
  cast(actor: Actor | null): void {
    this.actor = actor;
    if (!actor || !this.run) return;
    actor.begin(this.run.streamId);
    actor.cue(this.run.cues.filter((cue) => (cue.at?.char ?? 0) >= (this.run?.shown ?? 0)));
    actor.reveal(this.run.shown, "");
  }

  /** Take a frame the reducer has applied; `text` is the stream's text now. */
  take(frame: ServerFrame, text: string): void {
    switch (frame.type) {
      case "stream_start":
        this.start(frame.streamId, "", this.instant());
        this.cues(frame, 0);
        return;
      case "stream_snapshot":
        // What was missed is not acted out again.
        if (this.run?.streamId !== frame.streamId) this.start(frame.streamId, text, true);
        this.receive(text);
        if (this.run) this.run.buffer = { ...this.run.buffer, instant: this.instant() };
        this.cues(frame, 0);
        return;
      case "stream_chunk":
        this.cues(frame, frame.pos ?? this.run?.text.length ?? 0);
        this.receive(text);
        return;
      case "stream_reset":
        this.takeBack(frame.streamId, frame.keepChars);
        return;
      case "stream_complete":
        this.cues(frame, text.length);
        this.finish(frame.streamId, frame.finishReason === "cancelled");
        return;
      case "stream_error":
        this.cues(frame, text.length);
        this.finish(frame.streamId, true);
        return;
      case "message":
      case "animation":
        if (frame.cue?.length) this.actor?.cue(frame.cue);
        else if (frame.animation) this.actor?.animate(frame.animation);
        if (frame.animation) this.onCue(frame.animation);
        return;
    }
  }

  /** Show what is there at once. */
  showAll(): void {
    if (!this.run) return;
    this.run.buffer = reveal.all(this.run.buffer);
    this.wake();
  }

  /** The conversation was left: nothing of it goes on. */
  drop(): void {
    if (!this.run) return;
    this.run = null;
    this.shown.value = null;
    this.clock.cancel(this.handle);
    this.handle = 0;
    this.actor?.end();
  }

  private start(streamId: string, text: string, instant: boolean): void {
    const buffer = reveal.begin(instant);
    this.run = { streamId, text, buffer, cues: [], shown: 0 };
    this.shown.value = { streamId, chars: 0, done: false };
    this.actor?.begin(streamId);
  }

  private receive(text: string): void {
    if (!this.run) return;
    this.run.text = text;
    this.run.buffer = reveal.receive(this.run.buffer, text.length);
    this.wake();
  }

  private takeBack(streamId: string, keepChars: number): void {
    const { run } = this;
    if (run?.streamId !== streamId) return;
    const gone = run.cues.filter((cue) => cue.id && (cue.at?.char ?? 0) >= keepChars);
    run.cues = run.cues.filter((cue) => !gone.includes(cue));
    if (gone.length > 0) this.actor?.cue(gone.map((cue) => ({ cancel: cue.id ?? "" })));
    run.shown = Math.min(run.shown, keepChars);
    this.receive(run.text.slice(0, keepChars));
  }

  private finish(streamId: string, atOnce: boolean): void {
    if (this.run?.streamId !== streamId) return;
    this.run.buffer = reveal.end(atOnce ? reveal.all(this.run.buffer) : this.run.buffer);
    this.wake();
  }

  /** A frame without cues still has its short form, shown from the moment its own text is. */
  private cues(frame: { readonly cue?: readonly Cue[]; readonly animation?: Animation }, char: number): void {
    if (!this.run) return;
    const short: Cue[] = frame.animation ? [{ id: `short-${++this.made}`, state: frame.animation, at: { char } }] : [];
    const cues = frame.cue?.length ? frame.cue : short;
    if (cues.length === 0) return;
    this.run.cues.push(...cues);
    this.actor?.cue(cues);
    for (const state of cues.map((cue) => cue.state)) if (state) this.onCue(state satisfies CueState);
  }

  private wake(): void {
    if (this.handle) return;
    this.last = 0;
    this.handle = this.clock.frame((now) => this.tick(now));
  }

  private tick(now: number): void {
    this.handle = 0;
    const { run } = this;
    if (!run) return;
    run.buffer = reveal.step(run.buffer, this.last ? now - this.last : 16);
    const count = reveal.shown(run.buffer, run.text);
    const piece = run.text.slice(run.shown, count);
    run.shown = count;
    const done = reveal.finished(run.buffer);
    if (piece) this.actor?.reveal(count, piece);
    this.shown.value = { streamId: run.streamId, chars: count, done };
    if (done) {
      this.run = null;
      this.actor?.end();
    } else if (count < run.buffer.received) {
      this.last = now;
      this.handle = this.clock.frame((next) => this.tick(next));
    }
  }
}
