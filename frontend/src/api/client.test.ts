// @vitest-environment happy-dom
import { expect, test, vi } from "vitest";

import { aFrame, aMark } from "../testing";
import { aServer, refusal } from "../testingDom";
import { ApiError, api, errorFrom, sentenceOf, setCsrfToken } from "./client";

async function failureOf(call: Promise<unknown>): Promise<ApiError> {
  try {
    await call;
  } catch (error) {
    if (error instanceof ApiError) return error;
    throw error;
  }
  throw new Error("It did not fail.");
}

test("a list is asked for with its filter, and gives the frames and where the next page begins", async () => {
  const server = aServer({ "GET /api/v1/frames": { frames: [aFrame({ id: "7" })], next_before: "7" } });
  const page = await api.framePage({ line: 3, disagreement: true, part: "B & C", limit: 40 });
  expect(page.frames.map(({ id }) => id)).toEqual(["7"]);
  expect(page.next).toBe("7");
  const [asked] = server.asked;
  expect(Object.fromEntries(asked?.query ?? [])).toEqual({
    line: "3",
    disagreement: "true",
    part: "B & C",
    limit: "40",
  });
});

test("what changes something carries the page's token; what only reads does not", async () => {
  setCsrfToken("a-token");
  const server = aServer({ "POST /api/v1/frames/7/retry": aFrame(), "GET /api/v1/nodes": [] });
  await api.retry("7");
  await api.nodes();
  expect(server.asked.map(({ headers }) => headers.get("X-CSRFToken"))).toEqual(["a-token", null]);
});

test("a review carries its key, so that sending it again is once", async () => {
  const server = aServer({ "POST /api/v1/frames/7/reviews": {} });
  await api.review("7", { part: "good", note: "n", marks: [aMark()] as never }, "key-1");
  const [asked] = server.asked;
  expect(asked?.headers.get("Idempotency-Key")).toBe("key-1");
  expect(asked?.body).toMatchObject({ part: "good", note: "n", marks: [{ box_xyxy: [10, 10, 30, 30] }] });
});

test("a template is sent as the picture that it is, or by the frame that it is of", async () => {
  const server = aServer({ "PUT /api/v1/stations/4/template": {} });
  await api.setTemplate(4, new Blob(["pixels"], { type: "image/png" }));
  await api.setTemplate(4, { frame: "7" });
  const [picture, byFrame] = server.asked;
  expect(picture?.headers.get("Content-Type")).toBe("image/png");
  expect(picture?.body).toBe("pixels");
  expect(byFrame?.body).toEqual({ frame: "7" });
});

test("a name with signs of its own stays one part of the address", async () => {
  const server = aServer({ "POST /api/v1/nodes/a%2Fb/drain": {} });
  await api.drain("a/b", "drain");
  expect(server.asked).toHaveLength(1);
});

test("a refusal speaks in the server's words", async () => {
  aServer({ "GET /api/v1/me": refusal(403, "forbidden", "You may not.", "Ask an admin.") });
  const error = await failureOf(api.me());
  expect([error.code, error.message, error.hint, error.status]).toEqual([
    "forbidden",
    "You may not.",
    "Ask an admin.",
    403,
  ]);
});

test.each([
  ["a proxy's page", new Response("<html>Bad gateway</html>", { status: 502 }), "http_502"],
  ["an answer cut off in the middle", new Response('{"username": "al', { status: 200 }), "unreachable"],
])("%s is told in our words", async (_, answer, code) => {
  aServer({ "GET /api/v1/me": answer });
  expect((await failureOf(api.me())).code).toBe(code);
});

test("nobody at the other end is one error, whatever the browser calls it", async () => {
  vi.stubGlobal("fetch", () => Promise.reject(new TypeError("Failed to fetch")));
  const error = await failureOf(api.me());
  expect([error.code, error.status]).toEqual(["unreachable", 0]);
});

test("who gave up is not told that the server is away", async () => {
  vi.stubGlobal("fetch", ({ signal }: Request) => Promise.reject(signal.reason as Error));
  const abort = new AbortController();
  abort.abort(new DOMException("left", "AbortError"));
  await expect(api.me(abort.signal)).rejects.not.toBeInstanceOf(ApiError);
});

test("a health report that says down is an answer, and a refusal is none", async () => {
  const down = { status: "down", parts: { database: "down" } };
  aServer({ "GET /health": Response.json(down, { status: 503 }) });
  expect(await api.health()).toEqual(down);
  aServer({ "GET /health": refusal(503, "busy", "Too busy.") });
  expect((await failureOf(api.health())).code).toBe("busy");
});

test("an error of ours has words for people, and any other has some too", () => {
  expect(sentenceOf(errorFrom(400, { detail: "No.", hint: "Yes." }))).toEqual({
    detail: "No.",
    hint: "Yes.",
  });
  expect(sentenceOf(new TypeError("x is undefined")).detail).toBe("Something went wrong on this page.");
  expect(errorFrom(500, null).message).toBe("The server answered with status 500.");
});
