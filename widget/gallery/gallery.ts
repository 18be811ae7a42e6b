import { CHANNELS, clipOf, type Pose } from "../src/avatar/clips";
import * as director from "../src/avatar/director";
import { createAvatar } from "../src/avatar/index";
import { SHAPES, VISEMES, type Viseme } from "../src/avatar/lipsync";
import { LOOKS, resolveLook } from "../src/avatar/looks";
import { openStage, type Stage } from "../src/avatar/stage";
import { ANIMATIONS, type Animation } from "../src/protocol";

/*
 * state=happy,wave  which states ("all", "visemes", "looks", "live")   look=fern  which preset
 * state=film        one scripted turn, a picture every step= ms
 * t=900             ms after the state was asked for                   size=250   pixels of one picture
 * accent=%23ff0066  brand colour                                       still=1    reduced motion
 */
const query = new URLSearchParams(location.search);
const size = Number(query.get("size") ?? 250);
const at = query.get("t");
/** The moment that shows a state best, where 900 ms is too late; ms. */
const MOMENT: Readonly<Record<string, number>> = { nod: 330 };
const lookName = query.get("look") ?? "indigo";
const accent = query.get("accent") ?? undefined;
const still = query.get("still") === "1";
const sheet = document.querySelector("#sheet") as HTMLElement;

const INNER = ["listening", "concern"];
const SPECIAL = ["blink", "look_left", "look_up", "explain_happy"];

interface Shot {
  readonly label: string;
  readonly look: string;
  readonly play: (state: director.State) => void;
  readonly touch?: (pose: Pose) => void;
}

function play(state: director.State, name: string): void {
  if (name === "explain_happy") {
    director.receive(state, [
      { id: "b", state: "talk_explain" },
      { id: "e", state: "happy", w: 0.7 },
    ]);
    director.reveal(state, 10, "we may ma");
  } else if ((ANIMATIONS as readonly string[]).includes(name)) director.animate(state, name as Animation);
  else if (clipOf(name)) director.receive(state, [{ id: name, state: name as "listening" }]);
}

const TOUCH: Readonly<Record<string, (pose: Pose) => void>> = {
  blink: (pose) => Object.assign(pose, { blinkL: 1, blinkR: 1 }),
  look_left: (pose) => Object.assign(pose, { lookX: 0.9, lookY: -0.1, headY: 0.22 }),
  look_up: (pose) => Object.assign(pose, { lookY: 0.9, headX: -0.12 }),
};

const shot = (name: string, look = lookName): Shot => ({
  label: name,
  look,
  play: (state) => play(state, name),
  touch: (pose) => {
    if (name !== "blink" && !still) Object.assign(pose, { blinkL: 0, blinkR: 0 });
    TOUCH[name]?.(pose);
  },
});

function viseme(v: Viseme): Shot {
  const [w, u, l, s, teeth, tongue] = SHAPES[v];
  const mouth = {
    mouthW: w,
    mouthU: u,
    mouthL: l,
    mouthS: s,
    mouthTeeth: teeth,
    mouthTongue: tongue,
    mouthOwn: v === "sil" ? 0 : 1,
  };
  return {
    label: v,
    look: lookName,
    play: (state) => play(state, "talk_calm"),
    touch: (pose) => Object.assign(pose, { ...mouth, blinkL: 0, blinkR: 0 }),
  };
}

function shots(): Shot[] {
  const wanted = query.get("state") ?? "all";
  if (wanted === "visemes") return VISEMES.map(viseme);
  if (wanted === "looks")
    return Object.keys(LOOKS).flatMap((look) =>
      ["idle", "happy", "thumbs_up", "confused"].map((s) => ({ ...shot(s, look), label: `${look} ${s}` })),
    );
  if (wanted === "all") return [...ANIMATIONS, ...INNER, ...SPECIAL].map((s) => shot(s));
  return wanted.split(",").map((s) => shot(s));
}

/** One picture: 2 s of idle, then the state, then `t` ms in steps of 1/60 s. */
function perform({ label, play: start, touch }: Shot): Pose {
  const state = director.createState({ seed: 3, still });
  const run = (ms: number): void => {
    for (let t = 0; t < ms; t += 1000 / 60) director.step(state, 1000 / 60);
  };
  run(1500);
  start(state);
  run(Number(at ?? MOMENT[label] ?? 900));
  const pose = { ...director.step(state, 0) };
  touch?.(pose);
  return pose;
}

const SCRIPT = "Great news! Open the settings page, then choose billing, because your plan lives there.";

/** A whole turn: greeting, thinking, an answer with feelings, the end; a pose every `step` ms. */
function* film(step: number): Generator<readonly [string, Pose]> {
  const state = director.createState({ seed: 3, still });
  const shownAt = (ms: number): number => Math.max(0, Math.min(SCRIPT.length, Math.floor((ms - 3200) * 0.045)));
  let shown = 0;
  for (let ms = 0; ms < 8600; ms += 20) {
    if (ms === 200) director.animate(state, "wave");
    if (ms === 2000) director.begin(state, "s1");
    if (ms === 2000) director.receive(state, [{ id: "a", state: "thinking" }]);
    if (ms === 3200) {
      director.receive(state, [
        { id: "b", state: "happy", at: { char: 1 }, w: 0.8, hold: 2600 },
        { id: "c", state: "talk_explain", at: { char: 12 } },
        { id: "d", state: "thumbs_up", at: { char: 80 } },
      ]);
    }
    const next = shownAt(ms);
    if (next > shown) director.reveal(state, next, SCRIPT.slice(shown, next));
    if (next === SCRIPT.length && shown < next) director.end(state);
    shown = next;
    const pose = director.step(state, 20);
    if (ms % step === 0) yield [`${ms}`, { ...pose }];
  }
}

function show(label: string, source: HTMLCanvasElement): void {
  const figure = document.createElement("figure");
  const caption = document.createElement("figcaption");
  caption.textContent = size >= 120 ? label : "";
  const picture = document.createElement("canvas");
  picture.width = source.width;
  picture.height = source.height;
  Object.assign(picture.style, { width: `${size}px`, height: `${size * 1.12}px` });
  picture.getContext("2d")?.drawImage(source, 0, 0);
  figure.append(picture, caption);
  sheet.append(figure);
}

async function contactSheet(): Promise<void> {
  const holder = document.createElement("div");
  holder.id = "stage";
  Object.assign(holder.style, { width: `${size}px`, height: `${size * 1.12}px` });
  document.body.append(holder);
  let pose = perform(shot("idle"));
  const stage: Stage = openStage({
    container: holder,
    look: resolveLook(lookName, accent),
    still: false,
    loop: false,
    pose: () => pose,
    busy: () => false,
    restless: () => false,
    onLost: (reason) => console.error(reason),
  });
  await stage.ready;
  if (query.get("state") === "film") {
    for (const [label, next] of film(Number(query.get("step") ?? 200))) {
      pose = next;
      stage.draw(0);
      show(label, stage.canvas);
    }
  }
  for (const each of query.get("state") === "film" ? [] : shots()) {
    pose = perform(each);
    stage.setLook(resolveLook(each.look, accent));
    stage.draw(0);
    show(each.label, stage.canvas);
  }
  document.body.dataset.stats = JSON.stringify(stage.stats);
  stage.dispose();
}

/** The real thing, running: for eyes and for measuring. */
async function live(): Promise<void> {
  const holder = document.createElement("div");
  Object.assign(holder.style, { width: `${size}px`, height: `${size * 1.12}px` });
  sheet.append(holder);
  const avatar = createAvatar({
    container: holder,
    look: lookName,
    ...(accent ? { accent } : {}),
    reducedMotion: still,
    onLost: (why) => console.error(why),
  });
  Object.assign(window, { avatar });
  addEventListener("pointermove", (e) =>
    avatar.look((e.clientX / innerWidth) * 2 - 1, 1 - (e.clientY / innerHeight) * 2),
  );
  for (const name of ANIMATIONS) {
    const button = document.createElement("button");
    button.textContent = name;
    button.onclick = () => avatar.animate(name);
    sheet.append(button);
  }
  await avatar.ready;
}

await (query.get("state") === "live" ? live() : contactSheet());
document.body.dataset.ready = String(CHANNELS.length);
