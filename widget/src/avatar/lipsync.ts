/** The fifteen mouth shapes; the index is the id on the wire. */
export const VISEMES = ["sil", "PP", "FF", "TH", "DD", "kk", "CH", "SS", "nn", "RR", "aa", "E", "I", "O", "U"] as const;
export type Viseme = (typeof VISEMES)[number];

/** Half width, opening up, opening down, corner lift (head radii); share of the gap filled by teeth, by tongue. */
export type MouthShape = readonly [number, number, number, number, number, number];

export const SHAPES: Readonly<Record<Viseme, MouthShape>> = {
  sil: [0.205, 0, 0, 0.055, 0.4, 0.2],
  PP: [0.183, 0, 0, 0.023, 0.4, 0.2],
  FF: [0.22, 0.04, 0.016, 0.023, 0.95, 0],
  TH: [0.225, 0.036, 0.058, 0.03, 0.45, 0.62],
  DD: [0.225, 0.036, 0.06, 0.026, 0.5, 0.45],
  kk: [0.232, 0.036, 0.085, 0.023, 0.42, 0.3],
  CH: [0.155, 0.054, 0.062, 0, 0.75, 0.1],
  SS: [0.262, 0.034, 0.042, 0.034, 0.9, 0.1],
  nn: [0.226, 0.024, 0.055, 0.034, 0.5, 0.5],
  RR: [0.17, 0.042, 0.067, 0.012, 0.45, 0.3],
  aa: [0.232, 0.054, 0.207, 0.012, 0.3, 0.4],
  E: [0.275, 0.042, 0.11, 0.034, 0.45, 0.35],
  I: [0.287, 0.036, 0.067, 0.052, 0.6, 0.3],
  O: [0.14, 0.078, 0.14, 0, 0.16, 0.25],
  U: [0.092, 0.048, 0.073, 0, 0.1, 0.2],
};

/** Which shape wins when several letters share one slot: closures, then vowels, then the rest. */
const RANK: Readonly<Record<Viseme, number>> = {
  sil: 0,
  PP: 9,
  FF: 8,
  aa: 6,
  O: 6,
  E: 5,
  I: 5,
  U: 5,
  CH: 4,
  RR: 3,
  SS: 3,
  TH: 3,
  DD: 2,
  kk: 2,
  nn: 2,
};

const DIGRAPHS: Readonly<Record<string, Viseme>> = {
  th: "TH",
  ch: "CH",
  sh: "CH",
  ph: "FF",
  oo: "U",
  ou: "O",
  ow: "O",
  ee: "I",
  ea: "I",
  ai: "E",
  ay: "E",
  au: "O",
  qu: "U",
};
const LETTERS: Readonly<Record<string, Viseme>> = {
  a: "aa",
  e: "E",
  i: "I",
  o: "O",
  u: "U",
  y: "I",
  b: "PP",
  m: "PP",
  p: "PP",
  f: "FF",
  v: "FF",
  w: "U",
  d: "DD",
  t: "DD",
  l: "nn",
  n: "nn",
  c: "kk",
  g: "kk",
  k: "kk",
  q: "kk",
  h: "E",
  x: "SS",
  s: "SS",
  z: "SS",
  j: "CH",
  r: "RR",
  // Cyrillic, Greek and kana vowels, so that other scripts move more than a jaw
  а: "aa",
  я: "aa",
  э: "E",
  е: "E",
  и: "I",
  ы: "I",
  о: "O",
  ё: "O",
  у: "U",
  ю: "U",
  б: "PP",
  п: "PP",
  м: "PP",
  в: "FF",
  ф: "FF",
  α: "aa",
  ε: "E",
  η: "I",
  ι: "I",
  ο: "O",
  ω: "O",
  υ: "I",
  β: "FF",
  μ: "PP",
  π: "PP",
  φ: "FF",
  あ: "aa",
  い: "I",
  う: "U",
  え: "E",
  お: "O",
  ア: "aa",
  イ: "I",
  ウ: "U",
  エ: "E",
  オ: "O",
};
const PAUSES = ".!?;:,\n…。、！？";
const TURNS: readonly Viseme[] = ["aa", "E", "O", "nn", "I"];

/** The mouth shapes of a piece of text, one per letter or digraph, by letter class; `sil` is a pause. */
export function visemesOf(text: string): Viseme[] {
  const plain = text.toLowerCase().normalize("NFD").replace(/\p{M}/gu, "");
  const found: Viseme[] = [];
  for (let i = 0; i < plain.length; i++) {
    const pair = DIGRAPHS[plain.slice(i, i + 2)];
    const shape = pair ?? shapeOf(plain.charAt(i), i);
    if (pair) i++;
    if (shape) found.push(shape);
  }
  return found;
}

function shapeOf(letter: string, index: number): Viseme | undefined {
  if (PAUSES.includes(letter)) return "sil";
  const known = LETTERS[letter];
  if (known) return known;
  return /[\p{L}\p{N}]/u.test(letter) ? TURNS[index % TURNS.length] : undefined;
}

/** At most ten shapes a second, else the mouth flutters (ms). */
export const SLOT_MS = 100;
const PAUSE_MS = 170;
const CLOSE_MS = 120;

/** The mouth while text is being revealed. All times in ms of the caller's clock; no clock of its own. */
export interface Mouth {
  queue: Viseme[];
  current: Viseme;
  /** How long the current shape has been held. */
  held: number;
  /** How much of the next slot's letters wait longer than one slot: keeps lag near 200 ms. */
  shape: number[];
  own: number;
  strength: number;
  ended: boolean;
}

export function createMouth(): Mouth {
  return { queue: [], current: "sil", held: SLOT_MS, shape: [...SHAPES.sil], own: 0, strength: 1, ended: true };
}

/** Feeds newly revealed text. */
export function feedMouth(mouth: Mouth, text: string): void {
  mouth.ended = false;
  mouth.queue.push(...visemesOf(text.slice(-64))); // a jump in the text is not read aloud
}

/** No more text: what waits is still spoken, then the mouth rests. */
export function endMouth(mouth: Mouth): void {
  mouth.ended = true;
}

/** Barge-in: the mouth goes to `sil` within 120 ms. */
export function shutMouth(mouth: Mouth): void {
  mouth.queue.length = 0;
  mouth.ended = true;
  setShape(mouth, "sil");
}

function setShape(mouth: Mouth, shape: Viseme): void {
  mouth.current = shape;
  mouth.held = 0;
}

/** The best of the letters that share this slot; after a closure the mouth must open before it closes again. */
function choose(letters: readonly Viseme[], last: Viseme): Viseme {
  const rank = (v: Viseme): number => (v === last || (closed(v) && closed(last)) ? RANK[v] - 7 : RANK[v]);
  return letters.reduce((best, v) => (rank(v) > rank(best) ? v : best));
}

const closed = (v: Viseme): boolean => v === "PP" || v === "FF" || v === "sil";

function nextShape(mouth: Mouth): Viseme {
  const count = Math.max(1, Math.ceil(mouth.queue.length * 0.5));
  const pause = mouth.queue.indexOf("sil");
  const take = pause > 0 ? Math.min(count, pause) : pause === 0 ? 1 : count;
  const letters = mouth.queue.splice(0, take);
  return letters.length === 1 ? (letters[0] as Viseme) : choose(letters, mouth.current);
}

/** Moves the mouth on by `dt` ms; `own` tells how far speech rules the mouth (0 = the expression does). */
export function stepMouth(mouth: Mouth, dt: number): void {
  mouth.held += dt;
  const due = mouth.held >= (mouth.current === "sil" && mouth.queue.length ? PAUSE_MS : SLOT_MS);
  if (due && mouth.queue.length > 0) {
    setShape(mouth, nextShape(mouth));
    mouth.strength = closed(mouth.current)
      ? 1
      : 0.72 + 0.28 * Math.abs(Math.sin(mouth.queue.length * 2.1 + RANK[mouth.current]));
  } else if (mouth.held >= SLOT_MS + 60 && mouth.current !== "sil") setShape(mouth, "sil");
  glide(mouth, dt);
}

function glide(mouth: Mouth, dt: number): void {
  const target = SHAPES[mouth.current];
  const k = 1 - Math.exp(-dt / (closed(mouth.current) ? 32 : 42));
  const sil = SHAPES.sil;
  for (let i = 0; i < 6; i++) {
    const rest = sil[i] as number;
    const goal = rest + ((target[i] as number) - rest) * (closed(mouth.current) ? 1 : mouth.strength);
    mouth.shape[i] = (mouth.shape[i] as number) + (goal - (mouth.shape[i] as number)) * k;
  }
  const wanted = mouth.current === "sil" && mouth.queue.length === 0 ? 0 : 1;
  const step = dt / (wanted ? 60 : CLOSE_MS);
  mouth.own = wanted ? Math.min(1, mouth.own + step) : Math.max(0, mouth.own - step);
}

/** How open the mouth is, 0..1; 0 when the last shape has faded. */
export function openness(mouth: Mouth): number {
  const gap = (mouth.shape[1] as number) + (mouth.shape[2] as number);
  return mouth.own <= 0 ? 0 : Math.min(1, (gap * mouth.own) / 0.24);
}
