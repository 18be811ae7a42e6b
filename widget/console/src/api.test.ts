import { describe, expect, it } from "vitest";
import { address, Client, fieldPath, newKey, Problem, readProblem } from "./api";

interface Call {
  readonly url: string;
  readonly init: RequestInit;
}

/** A fetch that answers as told and remembers what it was asked. */
function answering(status: number, body: string, headers: Record<string, string> = {}) {
  const calls: Call[] = [];
  const send = async (url: RequestInfo | URL, init: RequestInit = {}) => {
    calls.push({ url: String(url), init });
    return new Response(status === 204 ? null : body, { status, headers });
  };
  return { client: new Client(send as typeof fetch), calls };
}

const header = (call: Call | undefined, name: string) => new Headers(call?.init.headers).get(name);

const REFUSED = JSON.stringify({
  type: "/errors/bad_message",
  title: "A field has a wrong type or value.",
  status: 422,
  detail: "Two fields are wrong.",
  code: "bad_message",
  request_id: "req_1",
  errors: [
    { pointer: "/config/theme/accent", code: "value_error", detail: "a colour is written #rrggbb" },
    { pointer: "/config/starters/1", code: "too_long", detail: "too long" },
    { nonsense: true },
  ],
});

describe("requests", () => {
  it("sends JSON with the cookie and reads JSON back", async () => {
    const { client, calls } = answering(201, '{"id":"bot_1"}');
    expect(await client.post("/v1/bots", { config: { name: "Nova" } })).toEqual({ id: "bot_1" });
    expect(calls[0]?.init).toMatchObject({
      method: "POST",
      credentials: "same-origin",
      body: '{"config":{"name":"Nova"}}',
    });
    expect(header(calls[0], "content-type")).toBe("application/json");
  });

  it("carries the CSRF token on every change and on no read", async () => {
    const { client, calls } = answering(200, "{}");
    client.csrfToken = "token";
    await client.get("/v1/bots");
    await client.post("/v1/bots", {});
    await client.patch("/v1/bots/1", {});
    await client.delete("/v1/bots/1");
    expect(calls.map((call) => header(call, "x-csrf-token"))).toEqual([null, "token", "token", "token"]);
  });

  it("asks for exactly the version it read", async () => {
    const { client, calls } = answering(200, "{}");
    await client.patch("/v1/bots/1", {}, { version: 7 });
    await client.patch("/v1/bots/1", {}, { version: 0 });
    await client.patch("/v1/bots/1", {});
    expect(calls.map((call) => header(call, "if-match"))).toEqual(['"7"', '"0"', null]);
  });

  it("sends an idempotency key when given one", async () => {
    const { client, calls } = answering(201, "{}");
    await client.post("/v1/bots", {}, { idempotencyKey: "abc" });
    expect(header(calls[0], "idempotency-key")).toBe("abc");
  });

  it("takes an answer without a body", async () => {
    const { client } = answering(204, "");
    expect(await client.delete("/v1/session")).toBeUndefined();
  });

  it("leaves absent values out of the query", () => {
    expect(address("/v1/bots", { limit: 50, cursor: "", bot_id: null })).toBe("/v1/bots?limit=50");
    expect(address("/v1/bots", { cursor: "a b&c" })).toBe("/v1/bots?cursor=a+b%26c");
    expect(address("/v1/bots")).toBe("/v1/bots");
  });
});

describe("failures", () => {
  it("reads a problem with its fields", async () => {
    const { client } = answering(422, REFUSED);
    const problem = await client.patch("/v1/bots/1", {}).catch((failure: unknown) => failure as Problem);
    expect(problem).toBeInstanceOf(Problem);
    const refused = problem as Problem;
    expect(refused).toMatchObject({
      status: 422,
      code: "bad_message",
      message: "Two fields are wrong.",
      requestId: "req_1",
    });
    expect(refused.errors).toHaveLength(2);
    expect(refused.at("theme.accent")).toBe("a colour is written #rrggbb");
    expect(refused.at("theme")).toBe("a colour is written #rrggbb");
    expect(refused.at("starters.1")).toBe("too long");
    expect(refused.at("starters.10")).toBeNull();
    expect(refused.at("name")).toBeNull();
  });

  it.each([
    ["/config/theme/accent", "/theme/accent"],
    ["#/config/name", "/name"],
    ["/body/config/name", "/name"],
    ["/email", "/email"],
    ["/configuration", "/configuration"],
  ])("reads the pointer %s as %s", (pointer, path) => expect(fieldPath(pointer)).toBe(path));

  it("makes something readable of a proxy's page", () => {
    const problem = readProblem(502, "<html>Bad gateway</html>", "3");
    expect(problem).toMatchObject({ status: 502, code: "http_502", retryAfterS: 3, errors: [] });
    expect(problem.message).toMatch(/Try again/);
  });

  it.each(["null", "[]", '"text"', '{"title":5,"errors":"x"}'])("survives the body %s", (body) => {
    expect(readProblem(400, body)).toMatchObject({ status: 400, code: "http_400", errors: [] });
  });

  it("says that the server cannot be reached", async () => {
    const client = new Client((() => Promise.reject(new TypeError("Failed to fetch"))) as typeof fetch);
    await expect(client.get("/v1/bots")).rejects.toMatchObject({ status: 0, code: "network" });
  });

  it("passes an abort on as it is", async () => {
    const stop = new AbortController();
    const client = new Client(((_url, init) => Promise.reject(init?.signal?.reason)) as typeof fetch);
    stop.abort();
    await expect(client.get("/v1/bots", { signal: stop.signal })).rejects.toMatchObject({ name: "AbortError" });
  });

  it("ends the session on 401, not on a wrong password", async () => {
    const told: string[] = [];
    for (const code of ["unauthorized", "login_failed"]) {
      const { client } = answering(401, JSON.stringify({ code }));
      client.onSignedOut = () => told.push(code);
      await client.get("/v1/bots").catch(() => undefined);
    }
    expect(told).toEqual(["unauthorized"]);
  });
});

it("makes idempotency keys that differ", () => {
  expect(newKey()).toMatch(/^[0-9a-f]{32}$/);
  expect(newKey()).not.toBe(newKey());
});
