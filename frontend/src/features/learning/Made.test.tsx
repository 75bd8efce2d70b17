// @vitest-environment happy-dom
import { fireEvent, screen, waitFor } from "@testing-library/react";
import { expect, test } from "vitest";

import { aBoot, aPerson, aServer, draw, onACleanPage } from "../../testingDom";
import type { ModelVersion, Run } from "./learningApi";
import { Made } from "./Made";

onACleanPage();

const RUN = { id: "r1", report: { measured: {} } } as unknown as Run;

function aVersion(part: Partial<ModelVersion> = {}): ModelVersion {
  const gate = {
    name: "json_valid",
    passed: false,
    detail: "Answers that fit the schema: 90.0 %; at least 98.0 %.",
  };
  return {
    id: 9,
    line: { id: 1, name: "Line A" },
    kind: "adapter",
    number: 3,
    digest: "e".repeat(64),
    run: "r1",
    gates: [gate],
    passed: false,
    serves: false,
    in_shadow: false,
    ...part,
  } as ModelVersion;
}

function shown(version: ModelVersion, role: "engineer" | "admin" | "viewer") {
  const server = aServer({
    "GET /api/v1/model-versions": [version],
    "POST /api/v1/model-versions/9/promote": { line: 1, kind: "adapter", version: 9, digest: "e" },
    "POST /api/v1/lines/1/roll-back": { line: 1, kind: "adapter", version: null, digest: "" },
    "POST /api/v1/model-versions/9/shadow": { version: 9, share: 0.25 },
  });
  draw(<Made boot={aBoot({ me: aPerson(role) })} run={RUN} />);
  return server;
}

test("past a missed gate an admin gives a reason", async () => {
  const server = shown(aVersion(), "admin");
  expect(await screen.findByText("Gates missed")).toBeTruthy();
  fireEvent.change(screen.getByLabelText(/Why promote/), { target: { value: "The line stands still." } });
  fireEvent.click(screen.getByRole("button", { name: "Promote all the same" }));
  await waitFor(() => expect(server.of("POST /api/v1/model-versions/9/promote")).toHaveLength(1));
  expect(server.of("POST /api/v1/model-versions/9/promote")[0]?.body).toEqual({
    reason: "The line stands still.",
  });
});

test("an engineer does not get past a gate, and promotes what passed", async () => {
  shown(aVersion(), "engineer");
  expect(await screen.findByText(/only an admin promotes/)).toBeTruthy();
  expect(screen.queryByRole("button", { name: /Promote/ })).toBeNull();
});

test("what passed its gates is promoted without a reason", async () => {
  const server = shown(aVersion({ passed: true }), "engineer");
  fireEvent.click(await screen.findByRole("button", { name: "Promote on Line A" }));
  await waitFor(() => expect(server.of("POST /api/v1/model-versions/9/promote")).toHaveLength(1));
});

test("what serves can be rolled back", async () => {
  const server = shown(aVersion({ serves: true }), "engineer");
  fireEvent.click(await screen.findByRole("button", { name: "Roll back" }));
  await waitFor(() => expect(server.of("POST /api/v1/lines/1/roll-back")).toHaveLength(1));
  expect(server.of("POST /api/v1/lines/1/roll-back")[0]?.body).toEqual({ kind: "adapter" });
});

test("a share of the frames is tried in the shadow", async () => {
  const server = shown(aVersion(), "engineer");
  fireEvent.change(await screen.findByLabelText(/of the frames/), { target: { value: "0.25" } });
  fireEvent.click(screen.getByRole("button", { name: "Try in the shadow" }));
  await waitFor(() =>
    expect(server.of("POST /api/v1/model-versions/9/shadow")[0]?.body).toEqual({ share: 0.25 }),
  );
});

test("a viewer reads and does nothing", async () => {
  shown(aVersion({ passed: true }), "viewer");
  await screen.findByText("All gates passed");
  expect(screen.queryAllByRole("button")).toEqual([]);
});
