/**
 * How fast received text appears: at reading pace, faster when far behind, all at once when motion is unwelcome.
 *
 * Pure: `step` takes the buffer and the time that passed and returns the next buffer. One unit is one UTF-16 code unit.
 */

export const CHARS_PER_S = 45;
const SLACK_CHARS = 90;
const CATCH_UP_CHARS = 140;
const FASTEST_CHARS_PER_S = 600;

export interface Reveal {
  /** Characters received so far. */
  readonly received: number;
  /** Characters shown so far, a fraction while one is on its way. */
  readonly position: number;
  /** The stream has ended: nothing more will be received. */
  readonly ended: boolean;
  /** Show everything the moment it arrives. */
  readonly instant: boolean;
}

export function begin(instant: boolean): Reveal {
  return { received: 0, position: 0, ended: false, instant };
}

/** The text now has `length` characters; a shorter length (a reset) takes shown ones back. */
export function receive(reveal: Reveal, length: number): Reveal {
  return { ...reveal, received: length, position: Math.min(reveal.position, length) };
}

export function end(reveal: Reveal): Reveal {
  return { ...reveal, ended: true };
}

/** Show all that is there, now and from now on. */
export function all(reveal: Reveal): Reveal {
  return { ...reveal, position: reveal.received, instant: true };
}

/** Characters per second for a backlog of so many characters. */
export function pace(backlog: number): number {
  const behind = Math.max(0, backlog - SLACK_CHARS);
  return Math.min(FASTEST_CHARS_PER_S, CHARS_PER_S * (1 + behind / CATCH_UP_CHARS));
}

export function step(reveal: Reveal, elapsedMs: number): Reveal {
  if (reveal.instant) return { ...reveal, position: reveal.received };
  const moved = (pace(reveal.received - reveal.position) * elapsedMs) / 1000;
  return { ...reveal, position: Math.min(reveal.received, reveal.position + moved) };
}

/** Characters of `text` to show: whole ones only, so that no half of a surrogate pair is ever drawn. */
export function shown(reveal: Reveal, text: string): number {
  const count = Math.min(Math.floor(reveal.position), text.length);
  const last = text.charCodeAt(count - 1);
  return last >= 0xd800 && last <= 0xdbff && count < reveal.received ? count - 1 : count;
}

export function finished(reveal: Reveal): boolean {
  return reveal.ended && reveal.position >= reveal.received;
}
