import { DirectionalLight, HemisphereLight, PerspectiveCamera, Scene, WebGLRenderer } from "three";
import { buildCharacter, type Character } from "./body";
import type { Pose } from "./clips";
import type { Look } from "./looks";

export interface StageOptions {
  readonly container: HTMLElement;
  readonly look: Look;
  readonly still: boolean;
  /** Moves the performance on by dt ms and returns the pose to draw. */
  readonly pose: (dt: number) => Pose;
  /** True while speech or a gesture needs every frame. */
  readonly busy: () => boolean;
  readonly onLost: (reason: string) => void;
  /** False: no loop of its own; the caller draws with `draw` (pictures with a fixed clock). */
  readonly loop?: boolean;
}

export interface Stage {
  readonly ready: Promise<void>;
  readonly canvas: HTMLCanvasElement;
  draw(dt: number): void;
  wake(): void;
  setLook(look: Look): void;
  pause(): void;
  resume(): void;
  dispose(): void;
  readonly stats: { triangles: number; drawCalls: number; programs: number };
}

const SLICE_MS = 8;
const IDLE_FRAME_MS = 1000 / 30;
const SLOW_FRAME_MS = 24;
const SLOW_FRAMES = 60;

function makeCanvas(): HTMLCanvasElement {
  const canvas = document.createElement("canvas");
  canvas.setAttribute("aria-hidden", "true");
  Object.assign(canvas.style, { display: "block", width: "100%", height: "100%", opacity: "0", transition: "opacity 250ms" });
  return canvas;
}

/** Throws when the browser has no WebGL2. */
function makeRenderer(canvas: HTMLCanvasElement): WebGLRenderer {
  const attributes: WebGLContextAttributes = { alpha: true, antialias: true, powerPreference: "low-power", stencil: false };
  const context = canvas.getContext("webgl2", attributes);
  if (!context) throw new Error("no WebGL2");
  const renderer = new WebGLRenderer({ canvas, context, alpha: true, antialias: true, powerPreference: "low-power" });
  renderer.setClearColor(0, 0);
  return renderer;
}

function light(scene: Scene): void {
  const key = new DirectionalLight("#fff1e2", 2.0);
  key.position.set(2.2, 3, 4.5);
  const rim = new DirectionalLight("#b9ccff", 2.2);
  rim.position.set(-3, 2.2, -3.2);
  const warm = new DirectionalLight("#ffb3cf", 1.1);
  warm.position.set(3.2, 0.5, -3);
  scene.add(new HemisphereLight("#f4f1ff", "#b98f83", 1.55), key, rim, warm);
}

/** Frames head and shoulders; a small picture comes closer, a narrow one steps back. */
export function frame(camera: PerspectiveCamera, width: number, height: number): void {
  const close = Math.min(1, Math.max(0, (160 - height) / 90));
  const aspect = width / Math.max(1, height);
  const back = aspect < 0.84 ? 0.84 / aspect : 1;
  camera.aspect = aspect;
  camera.position.set(0, -0.25 + 0.18 * close, 9.6 * (1 - 0.2 * close) * back);
  camera.lookAt(0, -0.5 + 0.3 * close, 0);
  camera.updateProjectionMatrix();
}

/** Opens the canvas, builds the character in slices, and draws it at the pace the page can afford. */
export function openStage(options: StageOptions): Stage {
  const { container, still } = options;
  const canvas = makeCanvas();
  const renderer = makeRenderer(canvas);
  const scene = new Scene();
  const camera = new PerspectiveCamera(24, 1, 4, 16);
  light(scene);
  container.append(canvas);

  let character: Character | undefined;
  let look = options.look;
  let closed = false;
  let paused = false;
  let hidden = document.visibilityState === "hidden";
  let offscreen = false;
  let frameId = 0;
  let last = 0;
  let slow = 0;
  let ratioCap = matchMedia("(pointer: coarse)").matches ? 1.5 : 2;
  let leastFrame = 0;
  let awakeUntil = 0;

  function resize(): void {
    const { clientWidth: w, clientHeight: h } = container;
    if (closed || w === 0 || h === 0) return;
    renderer.setPixelRatio(Math.min(devicePixelRatio || 1, ratioCap));
    renderer.setSize(w, h, false);
    frame(camera, w, h);
    wake();
    if (!frameId && character) draw(0);
  }

  function draw(dt: number): void {
    if (closed || !character) return;
    character.pose(options.pose(dt));
    renderer.render(scene, camera);
  }

  /** Slow frames first cost resolution, then pace. */
  function adapt(gap: number): void {
    slow = gap > SLOW_FRAME_MS && gap < 250 && leastFrame === 0 ? slow + 1 : Math.max(0, slow - 1);
    if (slow < SLOW_FRAMES) return;
    slow = 0;
    if (ratioCap > 1) {
      ratioCap = 1;
      resize();
    } else leastFrame = 1000 / 20;
  }

  function tick(now: number): void {
    frameId = 0;
    if (!running()) return;
    const gap = now - last;
    const busy = options.busy();
    if (gap + 2 >= (busy ? leastFrame : Math.max(leastFrame, IDLE_FRAME_MS))) {
      if (busy) adapt(gap);
      last = now;
      draw(Math.min(gap, 250));
    }
    schedule();
  }

  const running = (): boolean => !closed && !paused && !hidden && !offscreen && character !== undefined && options.loop !== false;
  /** Under reduced motion nothing moves by itself: frames are drawn only while a pose settles. */
  const settled = (): boolean => still && !options.busy() && performance.now() > awakeUntil;

  function schedule(): void {
    if (frameId || !running() || settled()) return;
    frameId = requestAnimationFrame(tick);
  }

  function wake(): void {
    awakeUntil = performance.now() + 2500;
    if (frameId || !running()) return;
    last = performance.now();
    schedule();
  }

  function stop(): void {
    cancelAnimationFrame(frameId);
    frameId = 0;
  }

  const onVisibility = (): void => {
    hidden = document.visibilityState === "hidden";
    if (hidden) stop();
    else wake();
  };
  const onLost = (event: Event): void => {
    event.preventDefault();
    if (closed) return;
    stop();
    options.onLost("context-lost");
  };
  const sizes = new ResizeObserver(resize);
  const views = new IntersectionObserver(([entry]) => {
    offscreen = entry !== undefined && entry.intersectionRatio < 0.1;
    if (offscreen) stop();
    else wake();
  }, { threshold: [0, 0.1] });
  document.addEventListener("visibilitychange", onVisibility);
  canvas.addEventListener("webglcontextlost", onLost);
  sizes.observe(container);
  views.observe(container);

  async function build(): Promise<void> {
    const steps = buildCharacter(look);
    let made = steps.next();
    while (!made.done) {
      const from = performance.now();
      while (!made.done && performance.now() - from < SLICE_MS) made = steps.next();
      await new Promise((go) => setTimeout(go));
      if (closed) return;
    }
    scene.add(made.value.root);
    await renderer.compileAsync(scene, camera);
    if (closed) return made.value.dispose();
    character = made.value;
    character.setLook(look);
    resize();
    draw(0);
    canvas.style.opacity = "1";
    wake();
  }

  return {
    canvas,
    ready: build().catch((error: unknown) => {
      if (!closed) options.onLost(error instanceof Error ? error.message : "build");
    }),
    draw,
    wake,
    setLook(next) {
      look = next;
      character?.setLook(next);
      wake();
    },
    pause() {
      paused = true;
      stop();
    },
    resume() {
      paused = false;
      wake();
    },
    dispose() {
      if (closed) return;
      closed = true;
      stop();
      sizes.disconnect();
      views.disconnect();
      document.removeEventListener("visibilitychange", onVisibility);
      canvas.removeEventListener("webglcontextlost", onLost);
      character?.dispose();
      scene.clear();
      renderer.dispose();
      renderer.forceContextLoss();
      canvas.remove();
    },
    get stats() {
      return {
        triangles: renderer.info.render.triangles,
        drawCalls: renderer.info.render.calls,
        programs: renderer.info.programs?.length ?? 0,
      };
    },
  };
}
