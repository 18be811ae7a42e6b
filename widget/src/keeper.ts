/** The only thing a visitor's browser may keep: the renewal token, and not before the first message. */

export type Storage = "local" | "session" | "none";

export class Keeper {
  private value: string | undefined;
  private allowed = false;
  private readonly name: string;
  private readonly kind: Storage;

  constructor(bot: string, kind: Storage) {
    this.name = `parlour:${bot}`;
    this.kind = kind;
    const stored = this.read();
    if (stored) {
      this.allowed = true;
      this.value = stored;
    }
  }

  /** The visitor acted: from now on keeping it is allowed. */
  allow(): void {
    if (this.allowed) return;
    this.allowed = true;
    if (this.value) this.write(this.value);
  }

  /** The newest token; another tab may have rotated it. */
  get(): string | undefined {
    return (this.allowed && this.read()) || this.value;
  }

  set(value: string | undefined): void {
    this.value = value;
    if (this.allowed) this.write(value);
  }

  get known(): boolean {
    return this.value !== undefined;
  }

  private area(): globalThis.Storage | null {
    if (this.kind === "none") return null;
    return this.kind === "session" ? window.sessionStorage : window.localStorage;
  }

  // Merely touching storage throws where it is blocked.
  private read(): string | undefined {
    try {
      return this.area()?.getItem(this.name) ?? undefined;
    } catch {
      return undefined;
    }
  }

  private write(value: string | undefined): void {
    try {
      if (value === undefined) this.area()?.removeItem(this.name);
      else this.area()?.setItem(this.name, value);
    } catch {}
  }
}
