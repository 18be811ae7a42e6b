/**
 * The one line a site owner pastes: a launcher, the page's API, and nothing else until somebody wants to chat.
 *
 * It sets no cookie, stores nothing and opens no socket; the chat itself is fetched by import() on the first intent.
 */

import { filled, parseHex, toHex } from "./colour";
import { type Chat, type ChatModule, type Host, type Options, readOptions, type WidgetConfig } from "./options";

type Listener = (detail: object) => void;
type Arguments = readonly unknown[];

const LAUNCHER_PX = 60;
const EDGE_PX = 20;
/** Methods the chat itself answers; true = worth fetching the chat for. */
const CHAT_METHODS = {
  sendMessage: true,
  prefill: true,
  newConversation: true,
  playCue: true,
  setTheme: false,
  setLocale: false,
  setContext: false,
} as const;

const STYLE = `
:host{all:initial}
:host([data-mode=inline]){display:block;height:600px;position:relative}
[hidden]{display:none!important}
.launcher{all:initial;box-sizing:border-box;position:absolute;inset:0;width:100%;height:100%;border-radius:50%;cursor:pointer;
background:var(--a);color:var(--t);display:grid;place-items:center;box-shadow:0 6px 20px #0f122838,0 1px 3px #0f122830;
transition:transform .18s,box-shadow .18s;touch-action:manipulation;-webkit-tap-highlight-color:transparent}
.launcher:hover{transform:translateY(-2px) scale(1.03);box-shadow:0 10px 28px #0f122845,0 2px 4px #0f122830}
.launcher:active{transform:scale(.96)}
.launcher:focus-visible{outline:3px solid var(--a);outline-offset:3px;box-shadow:0 0 0 3px #fff}
.launcher svg{position:absolute;width:34px;height:34px;transition:transform .2s,opacity .15s}
.launcher .x,.launcher[aria-expanded=true] .face{opacity:0;transform:scale(.5) rotate(-30deg)}
.launcher[aria-expanded=true] .x{opacity:1;transform:none}
.launcher[aria-busy=true] .face{animation:b 1s ease-in-out infinite alternate}
.launcher .eye{transform-origin:50% 45%;animation:e 5s infinite}
@keyframes b{to{opacity:.45}}
@keyframes e{0%,94%,100%{transform:none}97%{transform:scaleY(.1)}}
@media(prefers-reduced-motion:reduce){.launcher,.launcher *{transition:none;animation:none}}
@media(forced-colors:active){.launcher{border:2px solid ButtonText}}
`;

const warn = (text: string) => console.warn(`[Parlour] ${text}`);

/** One bot on this page. */
class Instance {
  readonly options: Options;
  readonly version = __VERSION__;
  readonly ready: Promise<WidgetConfig>;
  state: "loading" | "ready" | "failed" | "destroyed" = "loading";
  private readonly base: string;
  private readonly host: HTMLElement;
  private readonly order: number;
  private readonly listeners = new Map<string, Set<Listener>>();
  private readonly early: [string, Arguments][] = [];
  private launcher: HTMLButtonElement | null = null;
  private loading: Promise<Chat> | null = null;
  private chat: Chat | null = null;
  private attempts = 0;

  constructor(base: string, options: Options, order: number, element: HTMLElement | null) {
    this.base = base;
    this.options = options;
    this.order = order;
    this.host = element ?? document.createElement("parlour-widget");
    this.ready = this.start();
    this.ready.catch(() => undefined);
  }

  get isOpen(): boolean {
    return this.chat?.isOpen ?? false;
  }

  private get inline(): boolean {
    return this.options.mode === "inline";
  }

  // Starting ----------------------------------------------------------------------------------------------------------
  private async start(): Promise<WidgetConfig> {
    if (!this.inline && this.options.open !== "true" && this.options.open !== "once") await idle();
    const config = await this.fetchConfig();
    if (this.destroyed) throw new Error("destroyed");
    this.place(config);
    this.state = "ready";
    this.emit("ready");
    const { open, preload } = this.options;
    if (this.inline || open === "true" || (open === "once" && !this.openedBefore())) void this.open().catch(() => undefined);
    else if (preload === "idle") void idle().then(() => this.load().catch(() => undefined));
    return config;
  }

  private async fetchConfig(): Promise<WidgetConfig> {
    let status = 0;
    try {
      const answer = await fetch(`${this.base}/v1/bots/${this.options.bot}/widget-config`, { credentials: "omit" });
      status = answer.status;
      if (answer.ok) return (await answer.json()) as WidgetConfig;
    } catch {}
    this.state = "failed";
    const advice =
      status === 403
        ? `${location.origin} may not use this bot. Add it to the bot's allowed origins in the Parlour console.`
        : `the server gave ${status ? `status ${status}` : "no answer"} for bot ${this.options.bot}; the chat stays hidden.`;
    warn(advice);
    this.emit("error", { code: status === 403 ? "origin_not_allowed" : "unavailable" });
    throw new Error(advice);
  }

  // `once` is remembered by the page's own history entry, so nothing is stored before the visitor acts.
  private openedBefore(): boolean {
    const state = history.state as { parlourOpened?: boolean } | null;
    return state?.parlourOpened === true;
  }

  private place(config: WidgetConfig): void {
    const root = this.host.shadowRoot ?? this.host.attachShadow({ mode: "open" });
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(STYLE);
    root.adoptedStyleSheets = [sheet];
    this.host.dataset.mode = this.inline ? "inline" : "bubble";
    if (this.inline) return;
    harden(this.host, this.options, config, this.order);
    root.append(this.makeLauncher(config));
    if (!this.host.isConnected) document.documentElement.append(this.host);
  }

  private makeLauncher(config: WidgetConfig): HTMLButtonElement {
    const button = document.createElement("button");
    this.launcher = button;
    button.className = "launcher";
    button.type = "button";
    button.part.add("launcher");
    button.setAttribute("aria-label", this.options.label ?? `Chat: ${config.name}`);
    button.setAttribute("aria-haspopup", "dialog");
    button.setAttribute("aria-expanded", "false");
    const colours = filled(parseHex(this.options.accent ?? config.theme.accent) ?? [91, 91, 214]);
    button.style.setProperty("--a", toHex(colours.background));
    button.style.setProperty("--t", toHex(colours.text));
    button.append(
      drawing("face", [
        ["M4 15C4 8.4 9.8 4 17 4s13 4.4 13 11-5.800 11-13 11c-1.500 0-3-.2-4.300-.6L7 29l.9-5.600C5.500 21.400 4 18.500 4 15Z", "bubble"],
        ["M12.500 11.500v3M21.500 11.500v3", "eye"],
        ["M11.500 18.500c1.400 1.700 3.300 2.500 5.500 2.500s4.100-.8 5.500-2.500", "smile"],
      ]),
      drawing("x", [["M9 14l8 8 8-8", "smile"]]),
    );
    button.addEventListener("click", () => void this.toggle().catch(() => undefined));
    if (this.options.preload !== "none") {
      const preload = () => void this.load().catch(() => undefined);
      for (const intent of ["pointerenter", "focus", "touchstart"])
        button.addEventListener(intent, preload, { once: true, passive: true });
    }
    return button;
  }

  // The chat ----------------------------------------------------------------------------------------------------------
  private load(): Promise<Chat> {
    this.loading ??= this.fetchChat().catch((failure: unknown) => {
      this.loading = null;
      warn("the chat could not be loaded.");
      this.emit("error", { code: "load_failed" });
      if (this.attempts > 1) this.launcher?.remove();
      throw failure;
    });
    return this.loading;
  }

  private async fetchChat(): Promise<Chat> {
    const config = await this.ready;
    this.launcher?.setAttribute("aria-busy", "true");
    try {
      const again = this.attempts++ ? `?retry=${this.attempts}` : "";
      const address = new URL(config.assets.widget, `${this.base}/`).href + again;
      const module = (await import(/* @vite-ignore */ address)) as ChatModule;
      if (this.destroyed) throw new Error("destroyed");
      this.chat = module.mount(this.asHost(config));
      for (const [method, given] of this.early.splice(0)) ask(this.chat, method, given);
      return this.chat;
    } finally {
      this.launcher?.removeAttribute("aria-busy");
    }
  }

  private asHost(config: WidgetConfig): Host {
    return {
      base: this.base,
      options: this.options,
      config,
      root: this.host.shadowRoot as ShadowRoot,
      launcher: this.launcher,
      emit: (name, detail, cancelable) => this.emit(name, detail, cancelable),
    };
  }

  async open(): Promise<void> {
    if (this.isOpen || !this.emit("beforeopen", {}, true)) return;
    (await this.load()).open();
  }

  async close(): Promise<void> {
    this.chat?.close();
  }

  toggle(): Promise<void> {
    return this.isOpen ? this.close() : this.open();
  }

  async show(): Promise<void> {
    await this.ready;
    if (this.launcher) this.launcher.hidden = false;
  }

  async hide(): Promise<void> {
    await this.ready;
    await this.close();
    if (this.launcher) this.launcher.hidden = true;
  }

  async call(method: keyof typeof CHAT_METHODS, given: Arguments): Promise<unknown> {
    if (this.chat) return ask(this.chat, method, given);
    if (CHAT_METHODS[method]) return ask(await this.load(), method, given);
    this.early.push([method, given]);
    return undefined;
  }

  async destroy(): Promise<void> {
    if (this.destroyed) return;
    this.state = "destroyed";
    instances.delete(this);
    this.chat?.destroy();
    this.host.remove();
    this.emit("destroy");
    this.listeners.clear();
  }

  private get destroyed(): boolean {
    return this.state === "destroyed";
  }

  // Events ------------------------------------------------------------------------------------------------------------
  on(name: string, listener: Listener): () => void {
    const set = this.listeners.get(name) ?? new Set();
    this.listeners.set(name, set.add(listener));
    return () => void set.delete(listener);
  }

  once(name: string, listener: Listener): () => void {
    const off = this.on(name, (detail) => {
      off();
      listener(detail);
    });
    return off;
  }

  off(name: string, listener: Listener): void {
    this.listeners.get(name)?.delete(listener);
  }

  private emit(name: string, detail: object = {}, cancelable = false): boolean {
    const event = new CustomEvent(`parlour:${name}`, { cancelable, detail: { ...detail, instance: this } });
    for (const listener of [...(this.listeners.get(name) ?? [])]) {
      try {
        listener(Object.assign(detail, { preventDefault: () => event.preventDefault() }));
      } catch (failure) {
        console.error(failure);
      }
    }
    return document.dispatchEvent(event);
  }
}

for (const method of Object.keys(CHAT_METHODS) as (keyof typeof CHAT_METHODS)[]) {
  Object.defineProperty(Instance.prototype, method, {
    value(this: Instance, ...given: unknown[]) {
      return this.call(method, given);
    },
  });
}

function ask(chat: Chat, method: string, given: Arguments): unknown {
  return (chat as unknown as Record<string, (...values: Arguments) => unknown>)[method]?.(...given);
}

function idle(): Promise<void> {
  return new Promise((done) => {
    if ("requestIdleCallback" in window) requestIdleCallback(() => done(), { timeout: 2000 });
    else setTimeout(done, 200);
  });
}

// A page's own rules (div:empty, * { all: unset }, opacity on everything) must not reach the host, hence "important".
function harden(host: HTMLElement, options: Options, config: WidgetConfig, order: number): void {
  const side = options.position ?? config.theme.position;
  const offset = (options.offsetX ?? EDGE_PX) + order * (LAUNCHER_PX + 14);
  const rules: Record<string, string> = {
    all: "initial",
    display: "block",
    position: "fixed",
    [side === "left" ? "left" : "right"]: `calc(${offset}px + env(safe-area-inset-${side}, 0px))`,
    bottom: `calc(${options.offsetY ?? EDGE_PX}px + env(safe-area-inset-bottom, 0px))`,
    width: `${LAUNCHER_PX}px`,
    height: `${LAUNCHER_PX}px`,
    "z-index": String(options.zIndex ?? 2147483000),
  };
  for (const [name, value] of Object.entries(rules)) host.style.setProperty(name, value, "important");
}

function drawing(name: string, paths: [string, string][]): SVGElement {
  const make = (tag: string, attributes: Record<string, string>) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    return element;
  };
  const stroke = { fill: "none", stroke: "currentColor", "stroke-width": "2.6", "stroke-linecap": "round", "stroke-linejoin": "round" };
  const svg = make("svg", { class: name, viewBox: "0 0 34 34", "aria-hidden": "true" });
  svg.append(...paths.map(([d, kind]) => make("path", { d, class: kind, ...stroke })));
  return svg as SVGElement;
}

// The page's API ------------------------------------------------------------------------------------------------------
const instances = new Set<Instance>();

interface Api {
  (...call: unknown[]): unknown;
  q?: ArrayLike<unknown>[];
  init?: (options: object, element?: HTMLElement) => Instance | null;
  [name: string]: unknown;
}

function start(base: string, read: (name: keyof Options) => unknown, element: HTMLElement | null): Instance | null {
  const options = readOptions(read, warn);
  if (!options) {
    warn("no usable bot id: nothing to show.");
    return null;
  }
  const inline = options.mode === "inline";
  const same = [...instances].find((one) => !inline && one.options.bot === options.bot && one.options.id === options.id);
  if (same) return same;
  const bubbles = [...instances].filter((one) => one.options.mode !== "inline").length;
  const instance = new Instance(base, options, inline || options.offsetX !== undefined ? 0 : bubbles, element);
  instances.add(instance);
  return instance;
}

function pick(given: unknown[]): Instance | undefined {
  const last = given[given.length - 1] as { bot?: string; id?: string } | undefined;
  const named =
    last && typeof last === "object" && (last.bot || last.id)
      ? [...instances].find((one) => (last.id ? one.options.id === last.id : one.options.bot === last.bot))
      : undefined;
  if (named) given.pop();
  return named ?? [...instances][0];
}

const METHODS = ["open", "close", "toggle", "show", "hide", "on", "once", "off", "destroy", ...Object.keys(CHAT_METHODS)];

function makeApi(base: string): Api {
  const call = (method: string, given: unknown[]): unknown => {
    if (method === "init") return start(base, (name) => (given[0] as Options)[name], (given[1] as HTMLElement) ?? null);
    const instance = pick(given) as unknown as Record<string, (...values: unknown[]) => unknown> | undefined;
    const known = METHODS.includes(method) && instance?.[method];
    const result = known ? known.apply(instance, given) : Promise.reject(new Error(`Parlour has no ${method} to call here.`));
    // A page that ignores the promise must not fill its console; one that awaits it still sees the failure.
    if (result instanceof Promise) result.catch(() => undefined);
    return result;
  };
  const api: Api = (method, ...given) => call(String(method), given);
  for (const method of ["init", ...METHODS]) api[method] = (...given: unknown[]) => call(method, given);
  Object.defineProperties(api, {
    instances: { get: () => [...instances] },
    version: { value: __VERSION__ },
    isOpen: { get: () => [...instances].some((one) => one.isOpen) },
    ready: { get: () => [...instances][0]?.ready },
  });
  return api;
}

function defineElement(api: Api): void {
  if (customElements.get("parlour-chat")) return;
  customElements.define(
    "parlour-chat",
    class extends HTMLElement {
      private instance: Instance | null = null;
      connectedCallback() {
        const dashed = (name: string) => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
        const read = Object.fromEntries(
          [...this.attributes].map((attribute) => [attribute.name, attribute.value] as const),
        );
        const options = new Proxy({}, { get: (_target, name) => read[dashed(String(name))] });
        const inline = this.getAttribute("mode") === "inline";
        this.instance ??= api.init?.(options, inline ? this : undefined) ?? null;
      }
      disconnectedCallback() {
        // A move inside the page fires both callbacks: only a real removal ends the chat.
        queueMicrotask(() => {
          if (this.isConnected || this.getAttribute("mode") !== "inline") return;
          void this.instance?.destroy();
          this.instance = null;
        });
      }
    },
  );
}

function boot(): void {
  const script =
    (document.currentScript as HTMLScriptElement | null) ??
    document.querySelector<HTMLScriptElement>('script[src*="/loader.js"][data-bot]');
  const address = script?.src ?? "";
  const base = /^(.*)\/widget\/[^/]+\/loader\.js/.exec(address)?.[1] ?? new URL(address || location.href).origin;
  const page = window as unknown as { Parlour?: Api };
  let api = page.Parlour;
  if (!api?.init) {
    const queued = api?.q ?? [];
    api = makeApi(base);
    page.Parlour = api;
    defineElement(api);
    if (script?.dataset.bot) api.init?.(script.dataset);
    for (const call of Array.from(queued)) api(...Array.from(call));
    return;
  }
  if (script?.dataset.bot) api.init?.(script.dataset);
}

boot();
