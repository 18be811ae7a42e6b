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
  /** True while a pose will still change by itself (reduced motion stops drawing when not). */
  readonly restless: () => boolean;
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
/** A longer pause (another tab, a breakpoint) is not lived through. */
const LONG_GAP_MS = 250;
/** How long a still character is drawn after a change. */
const SETTLE_MS = 2500;

function makeCanvas(still: boolean): HTMLCanvasElement {
  const canvas = document.createElement("canvas");
  canvas.setAttribute("aria-hidden", "true");
  Object.assign(canvas.style, {
    display: "block",
    width: "100%",
    height: "100%",
    opacity: "0",
    transition: still ? "" : "opacity 250ms",
  });
  return canvas;
}

/** Throws when the browser has no WebGL2. */
function makeRenderer(canvas: HTMLCanvasElement): WebGLRenderer {
  const attributes: WebGLContextAttributes = {
    alpha: true,
    antialias: true,
    powerPreference: "low-power",
    stencil: false,
  };
  const context = canvas.getContext("webgl2", attributes);
  if (!context) throw new Error("no WebGL2");
  const renderer = new WebGLRenderer({ canvas, context, alpha: true, antialias: true, powerPreference: "low-power" });
  renderer.setClearColor(0, 0);
  return renderer;
}

function light(scene: Scene): void {
  const key = new DirectionalLight("#fff6ec", 2.25);
  key.position.set(2.2, 3, 4.5);
  const rim = new DirectionalLight("#b9ccff", 2.2);
  rim.position.set(-3, 2.2, -3.2);
  const warm = new DirectionalLight("#ffb3cf", 1.1);
  warm.position.set(3.2, 0.5, -3);
  scene.add(new HemisphereLight("#fbf8ff", "#d8bdb2", 1.75), key, rim, warm);
}

/** Frames head and shoulders; a small picture comes closer, a narrow one steps back. */
export function frame(camera: PerspectiveCamera, width: number, height: number): void {
  const close = Math.min(1, Math.max(0, (160 - height) / 90));
  const aspect = width / Math.max(1, height);
  const back = aspect < 0.84 ? 0.84 / aspect : 1;
  camera.aspect = aspect;
  camera.position.set(0, -0.25 + 0.08 * close, 9.6 * (1 - 0.12 * close) * back);
  camera.lookAt(0, -0.5 + 0.16 * close, 0);
  camera.updateProjectionMatrix();
}

/** How often frames are drawn, by what the machine managed so far. */
class Pace {
  ratioCap = matchMedia("(pointer: coarse)").matches ? 1.5 : 2;
  private slow = 0;
  private least = 0;

  /** True when a frame is due `gap` ms after the last one. */
  due(gap: number, busy: boolean): boolean {
    return gap + 2 >= Math.max(this.least, busy ? 0 : IDLE_FRAME_MS);
  }

  /** Slow frames cost resolution first, then pace; true when the resolution has to change. */
  tooSlow(gap: number): boolean {
    this.slow =
      gap > SLOW_FRAME_MS && gap < LONG_GAP_MS && this.least === 0 ? this.slow + 1 : Math.max(0, this.slow - 1);
    if (this.slow < SLOW_FRAMES) return false;
    this.slow = 0;
    const sharp = this.ratioCap > 1;
    if (sharp) this.ratioCap = 1;
    else this.least = 1000 / 20;
    return sharp;
  }
}

class WebGLStage implements Stage {
  readonly canvas: HTMLCanvasElement;
  readonly ready: Promise<void>;
  private readonly renderer: WebGLRenderer;
  private readonly scene = new Scene();
  private readonly camera = new PerspectiveCamera(24, 1, 4, 16);
  private readonly pace = new Pace();
  private readonly options: StageOptions;
  private readonly sizes = new ResizeObserver(() => this.resize());
  private readonly views = new IntersectionObserver((entries) => this.onView(entries), { threshold: [0, 0.1] });
  private character: Character | undefined;
  private look: Look;
  private closed = false;
  private paused = false;
  private hidden = document.visibilityState === "hidden";
  private offscreen = false;
  private frameId = 0;
  private last = 0;
  private awakeUntil = 0;

  constructor(options: StageOptions) {
    this.options = options;
    this.look = options.look;
    this.canvas = makeCanvas(options.still);
    this.renderer = makeRenderer(this.canvas);
    light(this.scene);
    options.container.append(this.canvas);
    document.addEventListener("visibilitychange", this.onVisibility);
    this.canvas.addEventListener("webglcontextlost", this.onContextLost);
    this.sizes.observe(options.container);
    this.views.observe(options.container);
    this.ready = this.build().catch((error: unknown) => this.lose(error instanceof Error ? error.message : "build"));
  }

  draw(dt: number): void {
    if (this.closed || !this.character) return;
    this.character.pose(this.options.pose(dt));
    this.renderer.render(this.scene, this.camera);
  }

  wake(): void {
    this.awakeUntil = performance.now() + SETTLE_MS;
    if (this.frameId || !this.running()) return;
    this.last = performance.now();
    this.schedule();
  }

  setLook(look: Look): void {
    this.look = look;
    this.character?.setLook(look);
    this.wake();
  }

  pause(): void {
    this.paused = true;
    this.stop();
  }

  resume(): void {
    this.paused = false;
    this.wake();
  }

  dispose(): void {
    if (this.closed) return;
    this.closed = true;
    this.stop();
    this.sizes.disconnect();
    this.views.disconnect();
    document.removeEventListener("visibilitychange", this.onVisibility);
    this.canvas.removeEventListener("webglcontextlost", this.onContextLost);
    this.character?.dispose();
    this.scene.clear();
    this.renderer.dispose();
    if (!this.renderer.getContext().isContextLost()) this.renderer.forceContextLoss();
    this.canvas.remove();
  }

  get stats(): { triangles: number; drawCalls: number; programs: number } {
    const { render, programs } = this.renderer.info;
    return { triangles: render.triangles, drawCalls: render.calls, programs: programs?.length ?? 0 };
  }

  private async build(): Promise<void> {
    const made = await inSlices(buildCharacter(this.look), () => this.closed);
    if (!made) return;
    this.scene.add(made.root);
    // Where the driver can compile beside us, wait for it; else the first frame compiles.
    if (this.renderer.extensions.has("KHR_parallel_shader_compile")) {
      await this.renderer.compileAsync(this.scene, this.camera);
    }
    if (this.closed) return made.dispose();
    this.character = made;
    made.setLook(this.look);
    this.resize();
    this.canvas.style.opacity = "1";
    this.wake();
  }

  private resize(): void {
    const { clientWidth: w, clientHeight: h } = this.options.container;
    if (this.closed || w === 0 || h === 0) return;
    this.renderer.setPixelRatio(Math.min(devicePixelRatio || 1, this.pace.ratioCap));
    this.renderer.setSize(w, h, false);
    frame(this.camera, w, h);
    this.draw(0); // a resized canvas is blank until drawn
  }

  private readonly tick = (now: number): void => {
    this.frameId = 0;
    if (!this.running()) return;
    const gap = now - this.last;
    const busy = this.options.busy();
    if (this.pace.due(gap, busy)) {
      this.last = now;
      if (busy && this.pace.tooSlow(gap)) this.resize();
      this.draw(Math.min(Math.max(gap, 0), LONG_GAP_MS));
    }
    this.schedule();
  };

  private running(): boolean {
    const { loop } = this.options;
    return !this.closed && !this.paused && !this.hidden && !this.offscreen && !!this.character && loop !== false;
  }

  /** Under reduced motion nothing moves by itself: frames are drawn only while a pose settles. */
  private settled(): boolean {
    const { still, restless } = this.options;
    return still && !restless() && performance.now() > this.awakeUntil;
  }

  private schedule(): void {
    if (!this.frameId && this.running() && !this.settled()) this.frameId = requestAnimationFrame(this.tick);
  }

  private stop(): void {
    cancelAnimationFrame(this.frameId);
    this.frameId = 0;
  }

  private readonly onVisibility = (): void => {
    this.hidden = document.visibilityState === "hidden";
    if (this.hidden) this.stop();
    else this.wake();
  };

  private onView(entries: readonly IntersectionObserverEntry[]): void {
    const entry = entries.at(-1);
    this.offscreen = entry !== undefined && entry.intersectionRatio < 0.1;
    if (this.offscreen) this.stop();
    else this.wake();
  }

  private readonly onContextLost = (event: Event): void => {
    event.preventDefault();
    this.lose("context-lost");
  };

  private lose(reason: string): void {
    if (this.closed) return;
    this.stop();
    this.options.onLost(reason);
  }
}

/** Runs the builder in slices of at most 8 ms; undefined when `cancelled` meanwhile. */
async function inSlices<T>(steps: Generator<void, T>, cancelled: () => boolean): Promise<T | undefined> {
  for (;;) {
    const from = performance.now();
    while (performance.now() - from < SLICE_MS / 2) {
      const { done, value } = steps.next();
      if (done) return value;
    }
    await new Promise((go) => setTimeout(go));
    if (cancelled()) return undefined;
  }
}

/** Opens the canvas, builds the character in slices, and draws it at the pace the page can afford. */
export const openStage = (options: StageOptions): Stage => new WebGLStage(options);
