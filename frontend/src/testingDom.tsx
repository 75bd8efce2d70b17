/**
 * What tests of components and hooks need: a server of made-up answers, sockets that stay silent, and a page around
 * what is drawn. Nothing here reaches a network.
 */
import { QueryClientProvider } from "@tanstack/react-query";
import { cleanup, configure, render } from "@testing-library/react";
import type { ReactNode } from "react";
import { afterEach, vi } from "vitest";

import type { Boot } from "./api/boot";
import { newQueryClient } from "./api/queries";
import type { DefectClass, Me } from "./api/types";
import { openOutbox, OutboxOf } from "./features/verdicts/outbox";
import { Messages, MessagesOf, Toasts } from "./ui/toasts";

// What is waited for comes when it comes: the limit is for a machine that has much else to do.
configure({ asyncUtilTimeout: 30_000 });

export interface Asked {
  method: string;
  path: string;
  query: URLSearchParams;
  headers: Headers;
  body: unknown;
}

type Answer = object | Response | ((asked: Asked) => object | Response);

/** Answers by "GET /api/v1/frames"; anything else is 404 in the server's words. `asked` is what was asked for. */
export function aServer(answers: Record<string, Answer>): { asked: Asked[]; of: (route: string) => Asked[] } {
  const asked: Asked[] = [];
  vi.stubGlobal("fetch", async (input: Request) => {
    const url = new URL(input.url);
    const text = await input.text();
    const body: unknown = text.startsWith("{") ? JSON.parse(text) : text;
    const { method, headers } = input;
    const one = { method, path: url.pathname, query: url.searchParams, headers, body };
    asked.push(one);
    const known = answers[`${method} ${url.pathname}`];
    if (known === undefined) return refusal(404, "not_found", "There is nothing here.");
    const answer = typeof known === "function" ? (known as (asked: Asked) => object)(one) : known;
    return answer instanceof Response ? answer.clone() : Response.json(answer);
  });
  return { asked, of: (route) => asked.filter(({ method, path }) => `${method} ${path}` === route) };
}

export function refusal(status: number, code: string, detail: string, hint = ""): Response {
  return Response.json({ code, detail, hint }, { status });
}

/** A socket that opens and then says what a test has it say. */
export class SilentSocket {
  static made: SilentSocket[] = [];
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: ((event: { code: number }) => void) | null = null;
  bufferedAmount = 0;

  constructor(readonly url: string) {
    SilentSocket.made.push(this);
  }
  says(message: object): void {
    this.onmessage?.({ data: JSON.stringify(message) });
  }
  send(): void {
    // Nobody listens.
  }
  close(): void {
    // Nothing was open.
  }
}

/** What the root of a page makes: a cache of answers, messages and their place, this person's outbox. */
export function aRoot(user = "alice"): (what: { children: ReactNode }) => ReactNode {
  const [client, messages, outbox] = [newQueryClient(), new Messages(), openOutbox(user)];
  return function Root({ children }) {
    return (
      <QueryClientProvider client={client}>
        <MessagesOf value={messages}>
          <OutboxOf value={outbox}>
            {children}
            <Toasts />
          </OutboxOf>
        </MessagesOf>
      </QueryClientProvider>
    );
  };
}

/** Draw it as a page does. */
export function draw(what: ReactNode) {
  return render(what, { wrapper: aRoot() });
}

export const CLASSES: DefectClass[] = ["open", "short", "spur"].map((name, index) => ({
  id: index + 1,
  name,
  title: "",
  colour_index: index,
}));

const CAN = {
  see: true,
  upload: true,
  review: true,
  retry: true,
  run_demo: true,
  configure: true,
  train: true,
  manage_fleet: true,
  manage_access: true,
};

export function aPerson(role: Me["roles"][number]["role"] = "engineer"): Me {
  return { username: "alice", roles: [{ line: 1, role }], can: CAN };
}

export function aBoot(part: Partial<Boot> = {}): Boot {
  const line = { id: 1, name: "Line A", site: { id: 1, name: "Plant" }, policy: "pct-lb", is_demo: false };
  return {
    me: aPerson(),
    line,
    lines: [line],
    frame: null,
    newer: null,
    older: null,
    may_make_lines: false,
    may_manage_fleet: false,
    may_replay: false,
    csrf: "",
    ...part,
  };
}

/** Call once at the top of a file of such tests. */
export function onACleanPage(): void {
  vi.stubGlobal("WebSocket", SilentSocket);
  afterEach(() => {
    cleanup();
    localStorage.clear();
    SilentSocket.made = [];
    history.replaceState(null, "", "/");
  });
}
