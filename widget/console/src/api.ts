/** The REST door: every request of the console goes through one Client, every failure leaves it as a Problem. */

/** One field the server refused; `pointer` is a JSON pointer into the body that was sent. */
export interface FieldError {
  readonly pointer: string;
  readonly code: string;
  readonly detail: string;
}

/** A page of a list. */
export interface Page<T> {
  readonly data: readonly T[];
  readonly next_cursor: string | null;
  readonly has_more: boolean;
}

interface ProblemBody {
  readonly title?: unknown;
  readonly detail?: unknown;
  readonly code?: unknown;
  readonly request_id?: unknown;
  readonly errors?: unknown;
}

/** Why a request failed: an RFC 9457 problem, or what stands for one when the server sent none. */
export class Problem extends Error {
  readonly status: number;
  readonly code: string;
  readonly title: string;
  readonly requestId: string | null;
  readonly errors: readonly FieldError[];
  readonly retryAfterS: number | null;

  constructor(status: number, body: ProblemBody = {}, retryAfterS: number | null = null) {
    const title = text(body.title) ?? fallbackTitle(status);
    super(text(body.detail) ?? title);
    this.name = "Problem";
    this.status = status;
    this.code = text(body.code) ?? (status === 0 ? "network" : `http_${status}`);
    this.title = title;
    this.requestId = text(body.request_id);
    this.errors = Array.isArray(body.errors) ? body.errors.filter(isFieldError) : [];
    this.retryAfterS = retryAfterS;
  }

  /** The text for the field at `path` (such as "theme.accent" or "starters.0"); null when the field is fine. */
  at(path: string): string | null {
    const wanted = `/${path.replaceAll(".", "/")}`;
    const hit = this.errors.find(({ pointer }) => {
      const place = fieldPath(pointer);
      return place === wanted || place.startsWith(`${wanted}/`);
    });
    return hit?.detail ?? null;
  }
}

/** A pointer without what the console does not show: `/config/theme/accent` is the field `/theme/accent`. */
export function fieldPath(pointer: string): string {
  return pointer
    .replace(/^#/, "")
    .replace(/^\/body(?=\/)/, "")
    .replace(/^\/config(?=\/)/, "");
}

function text(value: unknown): string | null {
  return typeof value === "string" && value !== "" ? value : null;
}

function isFieldError(value: unknown): value is FieldError {
  const error = value as Partial<FieldError> | null;
  return typeof error?.pointer === "string" && typeof error.detail === "string";
}

const TITLES: Readonly<Record<number, string>> = {
  0: "The server cannot be reached. Check the connection and try again.",
  401: "Please sign in again.",
  403: "This is not allowed.",
  404: "This does not exist any more.",
  412: "Somebody else changed this meanwhile.",
  413: "This file is larger than allowed.",
  429: "Too many requests. Wait a moment and try again.",
};

function fallbackTitle(status: number): string {
  return (
    TITLES[status] ?? (status >= 500 ? "The server has a problem. Try again in a moment." : "The request was refused.")
  );
}

/** Whatever was thrown, as a Problem. */
export function asProblem(failure: unknown): Problem {
  return failure instanceof Problem ? failure : new Problem(0, { title: TITLES[0] });
}

/** The problem a body of `content` means; any body will do, also a proxy's HTML page. */
export function readProblem(status: number, content: string, retryAfter: string | null = null): Problem {
  const seconds = Number.parseFloat(retryAfter ?? "");
  let body: unknown = null;
  try {
    body = JSON.parse(content);
  } catch {}
  const object = typeof body === "object" && body !== null ? (body as ProblemBody) : {};
  return new Problem(status, object, Number.isFinite(seconds) ? seconds : null);
}

type Query = Readonly<Record<string, string | number | null | undefined>>;

export interface Sent {
  readonly query?: Query;
  readonly body?: unknown;
  readonly version?: number;
  readonly idempotencyKey?: string;
  readonly signal?: AbortSignal;
}

/** An address with its query; absent values are left out. */
export function address(path: string, query: Query = {}): string {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== "");
  if (given.length === 0) return path;
  return `${path}?${new URLSearchParams(given.map(([name, value]) => [name, String(value)]))}`;
}

/** Talks to /v1 with the session's cookie; remembers the CSRF token that every change must carry. */
export class Client {
  csrfToken: string | null = null;
  /** Told when the session has ended. */
  onSignedOut: () => void = () => undefined;
  private readonly send: typeof fetch;

  constructor(send: typeof fetch = (input, init) => fetch(input, init)) {
    this.send = send;
  }

  get<T>(path: string, sent: Sent = {}): Promise<T> {
    return this.request<T>("GET", path, sent);
  }

  post<T>(path: string, body?: unknown, sent: Sent = {}): Promise<T> {
    return this.request<T>("POST", path, { ...sent, body });
  }

  patch<T>(path: string, body: unknown, sent: Sent = {}): Promise<T> {
    return this.request<T>("PATCH", path, { ...sent, body });
  }

  delete(path: string, sent: Sent = {}): Promise<void> {
    return this.request<void>("DELETE", path, sent);
  }

  async request<T>(method: string, path: string, sent: Sent): Promise<T> {
    const init: RequestInit = { method, credentials: "same-origin", headers: this.headers(method, sent) };
    if (sent.body !== undefined) init.body = JSON.stringify(sent.body);
    if (sent.signal) init.signal = sent.signal;
    const answer = await this.answer(address(path, sent.query), init);
    const content = await answer.text();
    if (!answer.ok) throw this.failed(readProblem(answer.status, content, answer.headers.get("retry-after")));
    return (content === "" ? undefined : JSON.parse(content)) as T;
  }

  /** A problem met outside `request`, such as by an upload; ends the session when it says so. */
  failed(problem: Problem): Problem {
    if (problem.status === 401 && problem.code !== "login_failed") this.onSignedOut();
    return problem;
  }

  private async answer(url: string, init: RequestInit): Promise<Response> {
    try {
      return await this.send(url, init);
    } catch (failure) {
      if (init.signal?.aborted) throw failure;
      throw new Problem(0);
    }
  }

  private headers(method: string, sent: Sent): Record<string, string> {
    const headers: Record<string, string> = { Accept: "application/json" };
    if (sent.body !== undefined) headers["Content-Type"] = "application/json";
    if (method !== "GET" && this.csrfToken !== null) headers["X-CSRF-Token"] = this.csrfToken;
    if (sent.version !== undefined) headers["If-Match"] = `"${sent.version}"`;
    if (sent.idempotencyKey) headers["Idempotency-Key"] = sent.idempotencyKey;
    return headers;
  }
}

/** A fresh Idempotency-Key; works on plain http too, where crypto.randomUUID does not exist. */
export function newKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
