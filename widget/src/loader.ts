/**
 * The one line a site owner pastes: a launcher, the page's API, and nothing else until somebody wants to chat.
 *
 * It sets no cookie, stores nothing and opens no socket; the chat itself is fetched by import() on the first intent.
 */

import { textOn } from "./colour";
import { type Chat, type ChatModule, type Host, type Options, readOptions, type WidgetConfig } from "./options";
import style from "./ui/launcher.css?inline";

/** Called with what happened; `event.preventDefault()` refuses a cancelable one. */
type Listener = (detail: object, event: Event) => void;
type Arguments = readonly unknown[];

const LAUNCHER_PX = 60;
const EDGE_PX = 20;
const BUBBLE = "M4 15C4 8.4 9.8 4 17 4s13 4.4 13 11-5.8 11-13 11c-1.5 0-3-.2-4.3-.6L7 29l.9-5.6C5.5 21.4 4 18.5 4 15Z";
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

const quietly = (work: Promise<unknown>) => void work.catch(() => undefined);
const warn = (text: string) => console.warn(`[Parlour] ${text}`);

/** One bot on this page. */
class Instance {
  readonly options: Options;
  readonly version = __VERSION__;
  readonly ready: Promise<WidgetConfig>;
  state: "loading" | "ready" | "failed" | "destroyed" = "loading";
  readonly #base: string;
  readonly #host: HTMLElement;
  readonly #order: number;
  readonly #listeners = new Map<string, Set<Listener>>();
  readonly #early: [string, Arguments][] = [];
  #launcher: HTMLButtonElement | null = null;
  #loading: Promise<Chat> | null = null;
  #chat: Chat | null = null;
  #attempts = 0;

  constructor(base: string, options: Options, order: number, element: HTMLElement | null) {
    this.#base = base;
    this.options = options;
    this.#order = order;
    this.#host = element ?? document.createElement("parlour-widget");
    this.ready = this.#start();
    quietly(this.ready);
  }

  get isOpen(): boolean {
    return this.#chat?.isOpen ?? false;
  }

  get #inline(): boolean {
    return this.options.mode === "inline";
  }

  // Starting ----------------------------------------------------------------------------------------------------------
  async #start(): Promise<WidgetConfig> {
    if (!this.#inline && this.options.open !== "true") await idle();
    const config = await this.#fetchConfig();
    if (this.#destroyed) throw new Error();
    this.#place(config);
    this.state = "ready";
    this.#emit("ready");
    const { open, preload } = this.options;
    if (this.#inline || open === "true") quietly(this.open());
    else if (preload === "idle") quietly(idle().then(() => this.#load()));
    return config;
  }

  async #fetchConfig(): Promise<WidgetConfig> {
    let status = 0;
    try {
      const answer = await fetch(`${this.#base}/v1/bots/${this.options.bot}/widget-config`, { credentials: "omit" });
      status = answer.status;
      if (answer.ok) return (await answer.json()) as WidgetConfig;
    } catch {}
    this.state = "failed";
    const advice =
      status === 403
        ? `${location.origin} may not use this bot: add it to the bot's allowed origins in the Parlour console.`
        : `no chat: the server is unreachable (${status}).`;
    warn(advice);
    this.#emit("error", { code: status === 403 ? "origin_not_allowed" : "unavailable" });
    throw new Error(advice);
  }

  #place(config: WidgetConfig): void {
    const root = this.#host.shadowRoot ?? this.#host.attachShadow({ mode: "open" });
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(style);
    root.adoptedStyleSheets = [sheet];
    this.#host.dataset.mode = this.#inline ? "inline" : "bubble";
    if (this.#inline) return;
    harden(this.#host, this.options, config, this.#order);
    root.append(this.#makeLauncher(config));
    if (!this.#host.isConnected) document.documentElement.append(this.#host);
  }

  #makeLauncher(config: WidgetConfig): HTMLButtonElement {
    const button = document.createElement("button");
    this.#launcher = button;
    button.className = "launcher";
    button.type = "button";
    button.part.add("launcher");
    button.ariaLabel = this.options.label ?? `Chat: ${config.name}`;
    button.ariaHasPopup = "dialog";
    button.ariaExpanded = "false";
    const accent = this.options.accent ?? config.theme.accent;
    button.style.setProperty("--a", accent);
    button.style.setProperty("--t", textOn(accent));
    button.append(
      drawing("face", BUBBLE, "M12.5 11.5v3M21.5 11.5v3", "M11.5 18.5c1.4 1.7 3.3 2.5 5.5 2.5s4.1-.8 5.5-2.5"),
      drawing("x", "M9 14l8 8 8-8"),
    );
    button.addEventListener("click", () => quietly(this.toggle()));
    if (this.options.preload !== "none") {
      const preload = () => quietly(this.#load());
      for (const intent of ["pointerenter", "focus", "touchstart"])
        button.addEventListener(intent, preload, { once: true, passive: true });
    }
    return button;
  }

  // The chat ----------------------------------------------------------------------------------------------------------
  #load(): Promise<Chat> {
    this.#loading ??= this.#fetchChat().catch((failure: unknown) => {
      this.#loading = null;
      warn("loading failed.");
      this.#emit("error", { code: "load_failed" });
      if (this.#attempts > 1) this.#launcher?.remove();
      throw failure;
    });
    return this.#loading;
  }

  async #fetchChat(): Promise<Chat> {
    const config = await this.ready;
    this.#busy(true);
    try {
      const again = this.#attempts++ ? `?retry=${this.#attempts}` : "";
      const address = new URL(config.assets.widget, `${this.#base}/`).href + again;
      const module = (await import(/* @vite-ignore */ address)) as ChatModule;
      if (this.#destroyed) throw new Error();
      this.#chat = module.mount(this.#asHost(config));
      for (const [method, given] of this.#early.splice(0)) ask(this.#chat, method, given);
      return this.#chat;
    } finally {
      this.#busy(false);
    }
  }

  #busy(on: boolean): void {
    if (this.#launcher) this.#launcher.ariaBusy = String(on);
  }

  #asHost(config: WidgetConfig): Host {
    return {
      base: this.#base,
      options: this.options,
      config,
      root: this.#host.shadowRoot as ShadowRoot,
      launcher: this.#launcher,
      emit: (name, detail, cancelable) => this.#emit(name, detail, cancelable),
    };
  }

  async open(): Promise<void> {
    if (this.isOpen || !this.#emit("beforeopen", {}, true)) return;
    (await this.#load()).open();
  }

  async close(): Promise<void> {
    this.#chat?.close();
  }

  toggle(): Promise<void> {
    return this.isOpen ? this.close() : this.open();
  }

  async show(): Promise<void> {
    await this.ready;
    if (this.#launcher) this.#launcher.hidden = false;
  }

  async hide(): Promise<void> {
    await this.ready;
    await this.close();
    if (this.#launcher) this.#launcher.hidden = true;
  }

  async call(method: keyof typeof CHAT_METHODS, given: Arguments): Promise<unknown> {
    if (this.#chat) return ask(this.#chat, method, given);
    if (CHAT_METHODS[method]) return ask(await this.#load(), method, given);
    this.#early.push([method, given]);
    return undefined;
  }

  async destroy(): Promise<void> {
    if (this.#destroyed) return;
    this.state = "destroyed";
    instances.delete(this);
    this.#chat?.destroy();
    this.#host.remove();
    this.#emit("destroy");
    this.#listeners.clear();
  }

  get #destroyed(): boolean {
    return this.state === "destroyed";
  }

  // Events ------------------------------------------------------------------------------------------------------------
  on(name: string, listener: Listener): () => void {
    const set = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, set.add(listener));
    return () => void set.delete(listener);
  }

  once(name: string, listener: Listener): () => void {
    const off = this.on(name, (detail, event) => {
      off();
      listener(detail, event);
    });
    return off;
  }

  off(name: string, listener: Listener): void {
    this.#listeners.get(name)?.delete(listener);
  }

  #emit(name: string, detail: object = {}, cancelable = false): boolean {
    const event = new CustomEvent(`parlour:${name}`, { cancelable, detail: { ...detail, instance: this } });
    for (const listener of [...(this.#listeners.get(name) ?? [])]) {
      try {
        listener(event.detail, event);
      } catch (failure) {
        console.error(failure);
      }
    }
    return document.dispatchEvent(event);
  }
}

for (const method of Object.keys(CHAT_METHODS) as (keyof typeof CHAT_METHODS)[]) {
  (Instance.prototype as unknown as Record<string, unknown>)[method] = function (this: Instance, ...given: unknown[]) {
    return this.call(method, given);
  };
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

function drawing(name: string, ...paths: string[]): SVGElement {
  const make = (tag: string, kind: string) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    element.setAttribute("class", kind);
    return element as SVGElement;
  };
  const svg = make("svg", name);
  svg.setAttribute("viewBox", "0 0 34 34");
  paths.forEach((d, i) => {
    const path = make("path", `p${i}`);
    path.setAttribute("d", d);
    svg.append(path);
  });
  return svg;
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
    warn("no usable bot id.");
    return null;
  }
  const inline = options.mode === "inline";
  const same = [...instances].find(
    (one) => !inline && one.options.bot === options.bot && one.options.id === options.id,
  );
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

const METHODS = [
  "open",
  "close",
  "toggle",
  "show",
  "hide",
  "on",
  "once",
  "off",
  "destroy",
  ...Object.keys(CHAT_METHODS),
];

function makeApi(base: string): Api {
  const call = (method: string, given: unknown[]): unknown => {
    if (method === "init") return start(base, (name) => (given[0] as Options)[name], (given[1] as HTMLElement) ?? null);
    const instance = pick(given) as unknown as Record<string, (...values: unknown[]) => unknown> | undefined;
    const known = METHODS.includes(method) && instance?.[method];
    const result = known ? known.apply(instance, given) : Promise.reject(new Error(`no ${method} here`));
    // A page that ignores the promise must not fill its console; one that awaits it still sees the failure.
    if (result instanceof Promise) quietly(result);
    return result;
  };
  const api = ((method, ...given) => call(String(method), given)) as Api;
  for (const method of ["init", ...METHODS]) api[method] = (...given: unknown[]) => call(method, given);
  Object.defineProperties(api, {
    instances: { get: () => [...instances] },
    version: { value: __VERSION__ },
    isOpen: { get: () => [...instances].some((one) => one.isOpen) },
    ready: { get: () => pick([])?.ready },
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
        const options: Record<string, string> = {};
        for (const { name, value } of this.attributes) {
          options[name.replace(/-./g, (pair) => pair.slice(1).toUpperCase())] = value;
        }
        this.instance ??= api.init?.(options, options.mode === "inline" ? this : undefined) ?? null;
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
  const before = page.Parlour;
  const api = before?.init ? before : makeApi(base);
  page.Parlour = api;
  defineElement(api);
  if (script?.dataset.bot) api.init?.(script.dataset);
  if (api !== before) for (const call of Array.from(before?.q ?? [])) api(...Array.from(call));
}

boot();
