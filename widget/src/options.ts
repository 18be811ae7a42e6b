/** What a page may say in the tag, what the server says about the bot, and the seam between loader and chat. */

export type Mode = "bubble" | "inline";
export type ThemeMode = "auto" | "light" | "dark";
export type AvatarKind = "3d" | "2d" | "none";

/** The bot as `GET /v1/bots/{bot}/widget-config` describes it. */
export interface WidgetConfig {
  readonly bot_id: string;
  readonly name: string;
  readonly greeting: string;
  readonly starters: readonly string[];
  readonly languages: readonly string[];
  readonly theme: { readonly accent: string; readonly mode: ThemeMode; readonly position: "left" | "right" };
  readonly avatar: { readonly kind: AvatarKind; readonly look: string; readonly accent?: string };
  readonly assets: { readonly widget: string };
  readonly ai_disclosure?: boolean;
}

/** The attributes of the tag, checked. Whatever is absent comes from the bot's configuration. */
export interface Options {
  bot: string;
  id?: string;
  mode?: Mode;
  position?: "left" | "right";
  offsetX?: number;
  offsetY?: number;
  zIndex?: number;
  locale?: string;
  theme?: ThemeMode;
  accent?: string;
  avatar?: AvatarKind;
  open?: "true" | "false";
  label?: string;
  greeting?: string;
  prompts?: string;
  storage?: "local" | "session" | "none";
  preload?: "hover" | "idle" | "none";
}

const oneOf = (...words: string[]) => new RegExp(`^(${words.join("|")})$`);
const NUMBER = /^\d{1,10}$/;
const IDENTIFIER = /^[\w-]{1,64}$/;
const PLAIN_TEXT = /^[^<>]{1,500}$/;

/** Every attribute and what it may hold; anything else is ignored with one warning. */
const ATTRIBUTES: { readonly [Name in keyof Options]-?: RegExp } = {
  bot: IDENTIFIER,
  id: IDENTIFIER,
  mode: oneOf("bubble", "inline"),
  position: oneOf("left", "right"),
  offsetX: NUMBER,
  offsetY: NUMBER,
  zIndex: NUMBER,
  locale: /^(auto|[a-zA-Z]{2,3}(-\w{2,8})*)$/,
  theme: oneOf("auto", "light", "dark"),
  accent: /^#[0-9a-fA-F]{6}$/,
  avatar: oneOf("3d", "2d", "none"),
  open: oneOf("true", "false"),
  label: PLAIN_TEXT,
  greeting: PLAIN_TEXT,
  prompts: PLAIN_TEXT,
  storage: oneOf("local", "session", "none"),
  preload: oneOf("hover", "idle", "none"),
};

/** Read the attributes through `read(name)`; null when there is no usable bot id. */
export function readOptions(read: (name: keyof Options) => unknown, warn: (text: string) => void): Options | null {
  const found: Record<string, unknown> = {};
  for (const name of Object.keys(ATTRIBUTES) as (keyof Options)[]) {
    const value = read(name);
    if (value === undefined || value === null || value === "") continue;
    const text = String(value);
    if (ATTRIBUTES[name].test(text)) found[name] = ATTRIBUTES[name] === NUMBER ? Number(text) : text;
    else warn(`"${name}" has a value that cannot be used; ignored.`);
  }
  return found.bot ? (found as unknown as Options) : null;
}

/** What the loader hands to the chat. */
export interface Host {
  /** Prefix of every server address, without a slash at its end. */
  readonly base: string;
  readonly options: Options;
  readonly config: WidgetConfig;
  readonly root: ShadowRoot;
  /** The button of bubble mode; focus returns to it on close. */
  readonly launcher: HTMLButtonElement | null;
  /** Tell the page; false when a listener called preventDefault. */
  emit(name: string, detail?: object, cancelable?: boolean): boolean;
}

export interface ThemeChange {
  readonly mode?: ThemeMode;
  readonly accent?: string;
  readonly tokens?: Readonly<Record<string, string>>;
}

export interface SendOptions {
  readonly metadata?: Readonly<Record<string, unknown>>;
}

/** What the chat hands back: the methods of the page's API that need it. */
export interface Chat {
  open(): void;
  close(): void;
  sendMessage(text: string, options?: SendOptions): Promise<void>;
  prefill(text: string): void;
  newConversation(): Promise<void>;
  setTheme(change: ThemeChange): void;
  setLocale(locale: string): void;
  setContext(context: object): void;
  playCue(name: string): void;
  destroy(): void;
  readonly isOpen: boolean;
}

export interface ChatModule {
  mount(host: Host): Chat;
}
