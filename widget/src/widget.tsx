/** The chat itself, fetched by the loader on the first intent: builds the view, opens and closes it, answers the API. */

import { computed, effect, signal } from "@preact/signals";
import { render } from "preact";
import { Conversation } from "./conversation";
import type { Chat, Host, ThemeChange } from "./options";
import type { Actor } from "./player";
import { ANIMATIONS, type Animation } from "./protocol";
import { chooseLanguage, textsFor } from "./texts";
import { Panel, type View } from "./ui/panel";
import css from "./ui/panel.css?inline";
import type { MakeAvatar } from "./ui/stage";
import { accentTokens, isDark, pageTokens } from "./ui/theme";

const SMALL_SCREEN = "(max-width: 520px)";
const GREETING_DELAY_MS = 350;

export function mount(host: Host): Chat {
  return new Widget(host);
}

class Widget implements Chat {
  private readonly host: Host;
  private readonly view: View;
  private readonly conversation: Conversation;
  private readonly box = document.createElement("div");
  private readonly end = new AbortController();
  private readonly mode = signal<ThemeChange["mode"]>("auto");
  private readonly accent = signal("");
  private readonly asked = signal<string | undefined>(undefined);
  private readonly tokens = signal<Readonly<Record<string, string>>>({});
  private readonly sheet = new CSSStyleSheet();
  private actor: Actor | null = null;
  private greeted = false;
  private unlock: (() => void) | null = null;

  constructor(host: Host) {
    this.host = host;
    const { options, config } = host;
    this.mode.value = options.theme ?? config.theme.mode;
    this.accent.value = options.accent ?? config.theme.accent;
    this.asked.value = options.locale;
    this.view = this.makeView();
    const instant = () => this.view.reducedMotion.peek();
    this.conversation = new Conversation(host, () => this.view.language.peek(), instant);
    this.sheet.replaceSync(css);
    host.root.adoptedStyleSheets = [...host.root.adoptedStyleSheets, this.sheet];
    host.root.append(this.box);
    this.draw();
    this.dress();
  }

  get isOpen(): boolean {
    return this.view.open.peek();
  }

  // The page's API ----------------------------------------------------------------------------------------------------
  open(): void {
    if (this.isOpen) return;
    this.view.open.value = true;
    this.host.launcher?.setAttribute("aria-expanded", "true");
    if (this.host.options.mode !== "inline" || this.conversation.known) this.conversation.connect();
    this.cover();
    this.host.emit("open");
  }

  close(): void {
    if (!this.isOpen || this.host.options.mode === "inline") return;
    this.view.open.value = false;
    this.host.launcher?.setAttribute("aria-expanded", "false");
    this.unlock?.();
    this.host.launcher?.focus({ preventScroll: true });
    this.host.emit("close");
  }

  async sendMessage(text: string, options = {}): Promise<void> {
    this.conversation.send(String(text), options);
  }

  prefill(text: string): void {
    this.view.draft.value = String(text);
  }

  async newConversation(): Promise<void> {
    this.conversation.newConversation();
  }

  setTheme({ mode, accent, tokens }: ThemeChange): void {
    if (mode) this.mode.value = mode;
    if (accent) this.accent.value = accent;
    if (tokens) this.tokens.value = { ...this.tokens.peek(), ...pageTokens(tokens) };
    this.host.emit("theme", { mode: this.mode.peek() });
  }

  setLocale(locale: string): void {
    this.asked.value = locale;
    this.host.emit("locale", { locale: this.view.language.peek() });
  }

  setContext(context: object): void {
    this.conversation.setContext(context);
  }

  playCue(name: string): void {
    if ((ANIMATIONS as readonly string[]).includes(name)) this.actor?.animate(name as Animation);
  }

  destroy(): void {
    this.end.abort();
    this.unlock?.();
    this.conversation.destroy();
    render(null, this.box);
    this.box.remove();
  }

  // The view ----------------------------------------------------------------------------------------------------------
  private makeView(): View {
    const { config } = this.host;
    const page = document.documentElement.lang;
    const browser = navigator.languages ?? [navigator.language];
    const language = computed(() => chooseLanguage(this.asked.value, page, browser, config.languages));
    const themeTurn = this.media("(prefers-color-scheme: dark)");
    return {
      open: signal(false),
      draft: signal(""),
      paused: signal(false),
      language,
      texts: computed(() => textsFor(language.value)),
      dark: computed(() => {
        void themeTurn.value;
        return isDark(this.mode.value ?? "auto");
      }),
      accent: this.accent,
      reducedMotion: this.media("(prefers-reduced-motion: reduce)"),
      covering: this.media(SMALL_SCREEN),
    };
  }

  private media(query: string) {
    const list = matchMedia(query);
    const now = signal(list.matches);
    list.addEventListener("change", (event) => (now.value = event.matches), { signal: this.end.signal });
    return now;
  }

  private draw(): void {
    const { options, config } = this.host;
    const starters = options.prompts
      ? options.prompts
          .split("|")
          .map((one) => one.trim())
          .filter(Boolean)
      : config.starters;
    const panel = (
      <Panel
        mode={options.mode ?? "bubble"}
        position={options.position ?? config.theme.position}
        name={config.name}
        greeting={options.greeting ?? config.greeting}
        starters={starters}
        avatar={options.avatar ?? config.avatar.kind}
        disclosure={config.ai_disclosure ?? true}
        view={this.view}
        conversation={this.conversation}
        makeAvatar={this.makeAvatar}
        onCast={(actor) => this.cast(actor)}
        onClose={() => this.close()}
        onEngage={() => this.conversation.status.peek().state === "idle" && this.conversation.connect()}
        onCited={(handle) => this.host.emit("citation:open", { handle })}
      />
    );
    render(panel, this.box);
  }

  /** Custom properties on our own box: a style attribute or element would need the page's permission. */
  private dress(): void {
    const { options } = this.host;
    const offsets = { "--offset-x": `${options.offsetX ?? 20}px`, "--offset-y": `${options.offsetY ?? 20}px` };
    const stop = effect(() => {
      const tokens = { ...offsets, ...accentTokens(this.accent.value, this.view.dark.value), ...this.tokens.value };
      for (const [name, value] of Object.entries(tokens)) this.box.style.setProperty(name, value);
    });
    this.end.signal.addEventListener("abort", stop);
  }

  private cast(actor: Actor | null): void {
    this.actor = actor;
    if (!actor || this.greeted) return;
    // Once, by whoever is on stage then: two greetings in a row are one too many.
    this.greeted = true;
    const greet = () => this.conversation.state.peek().messages.length === 0 && this.actor?.animate("wave");
    setTimeout(greet, GREETING_DELAY_MS);
  }

  private readonly makeAvatar: MakeAvatar = async (container, onLost) => {
    if (!canDraw3d()) throw new Error("no 3D here");
    const { avatar } = this.host.config;
    const { createAvatar } = await import("./avatar/index");
    const actor = createAvatar({
      container,
      look: avatar.look,
      accent: avatar.accent ?? this.accent.peek(),
      reducedMotion: this.view.reducedMotion.peek(),
      onLost,
    });
    await actor.ready;
    return actor;
  };

  // Small screens -----------------------------------------------------------------------------------------------------
  /** Over the whole screen the page behind is out of reach, and the panel follows the on-screen keyboard. */
  private cover(): void {
    if (this.host.options.mode === "inline" || !this.view.covering.peek()) return;
    const { body, documentElement: page } = document;
    const before = [body.inert, page.style.overflow] as const;
    body.inert = true;
    page.style.overflow = "hidden";
    const viewport = window.visualViewport;
    const follow = () => {
      if (!viewport) return;
      this.box.style.setProperty("--view-top", `${Math.round(viewport.offsetTop)}px`);
      this.box.style.setProperty("--view-height", `${Math.round(viewport.height)}px`);
    };
    follow();
    viewport?.addEventListener("resize", follow);
    viewport?.addEventListener("scroll", follow);
    this.unlock = () => {
      [body.inert, page.style.overflow] = before;
      viewport?.removeEventListener("resize", follow);
      viewport?.removeEventListener("scroll", follow);
      this.unlock = null;
    };
  }
}

function canDraw3d(): boolean {
  const { connection } = navigator as { connection?: { saveData?: boolean } };
  if (connection?.saveData || matchMedia("(prefers-reduced-data: reduce)").matches) return false;
  const context = document.createElement("canvas").getContext("webgl2");
  context?.getExtension("WEBGL_lose_context")?.loseContext();
  return context !== null;
}
