// @vitest-environment happy-dom
import { act, fireEvent, screen, waitFor } from "@testing-library/react";
import { beforeEach, expect, test, vi } from "vitest";

import { draw, onACleanPage } from "../../testingDom";
import { DropZone } from "./DropZone";
import { filesFromDrop, withoutHidden } from "./dropped";

onACleanPage();

/** An upload as the browser does it, which a test ends when it wants. */
class HeldUpload {
  static made: HeldUpload[] = [];
  upload: { onprogress?: (event: { loaded: number }) => void } = {};
  headers: Record<string, string> = {};
  url = "";
  body: FormData | null = null;
  status = 0;
  responseText = "";
  onload = () => undefined;
  onerror = () => undefined;
  onabort = () => undefined;
  open(_: string, url: string) {
    this.url = url;
  }
  setRequestHeader(name: string, value: string) {
    this.headers[name] = value;
  }
  send(body: FormData) {
    this.body = body;
    HeldUpload.made.push(this);
  }
  abort() {
    this.onabort();
  }
  ends(status: number, body: object) {
    this.status = status;
    this.responseText = JSON.stringify(body);
    this.onload();
  }
}

beforeEach(() => {
  HeldUpload.made = [];
  vi.stubGlobal("XMLHttpRequest", HeldUpload);
});

const file = (name: string, size = 1000) => new File([new Uint8Array(size)], name, { type: "image/jpeg" });

function choose(...files: File[]) {
  const input = screen.getByLabelText<HTMLInputElement>("Files to upload");
  Object.defineProperty(input, "files", { value: files, configurable: true });
  fireEvent.change(input);
}

const row = (name: string) => screen.getByTitle(name).closest("li");

test("a chosen file goes to its station under a key of its own, with its progress, and is counted when stored", async () => {
  draw(<DropZone station={7} />);
  choose(file("a.jpg"));
  const [sent] = HeldUpload.made;
  expect(sent?.url).toBe("/api/v1/stations/7/frames");
  expect(sent?.headers["Idempotency-Key"]).toMatch(/^[0-9a-f]{32}$/);
  act(() => sent?.upload.onprogress?.({ loaded: 400 }));
  expect(row("a.jpg")?.textContent).toContain("40 % of 1 kB");
  await act(() => Promise.resolve(sent?.ends(201, { frames: [{ id: "1", sha256: "" }], rejected: [] })));
  expect(screen.getByText("1 frame stored")).toBeTruthy();
  expect(row("a.jpg")?.getAttribute("data-state")).toBe("done");
});

test("three go at a time, the rest wait their turn", async () => {
  draw(<DropZone station={7} />);
  choose(file("a.jpg"), file("b.jpg"), file("c.jpg"), file("d.jpg"));
  expect(HeldUpload.made).toHaveLength(3);
  expect(row("d.jpg")?.textContent).toContain("Waiting");
  await act(() => Promise.resolve(HeldUpload.made[0]?.ends(201, { frames: [], rejected: [] })));
  await waitFor(() => expect(HeldUpload.made).toHaveLength(4));
});

test("what is refused is named with its reason, and cannot be tried again", async () => {
  draw(<DropZone station={7} />);
  choose(file("notes.zip"));
  const rejected = [
    { name: "a.txt", code: "x", detail: "This file is not a supported picture.", hint: "Send JPEG." },
  ];
  await act(() => Promise.resolve(HeldUpload.made[0]?.ends(422, { frames: [], rejected })));
  const alert = screen.getByRole("alert", { name: "Refused files" });
  expect(alert.textContent).toContain("notes.zip: a.txt");
  expect(alert.textContent).toContain("Send JPEG.");
  expect(screen.queryByRole("button", { name: /Try again/ })).toBeNull();
});

test("what failed on the way is tried again under the same key", async () => {
  draw(<DropZone station={7} />);
  choose(file("a.jpg"));
  const [first] = HeldUpload.made;
  await act(() => Promise.resolve(first?.onerror()));
  expect(screen.getByRole("alert").textContent).toContain("The server does not answer.");
  fireEvent.click(screen.getByRole("button", { name: "Try again a.jpg" }));
  await waitFor(() => expect(HeldUpload.made).toHaveLength(2));
  expect(HeldUpload.made[1]?.headers["Idempotency-Key"]).toBe(first?.headers["Idempotency-Key"]);
});

test("a cancelled file stays cancelled, whatever its request still says", async () => {
  draw(<DropZone station={7} />);
  choose(file("a.jpg"), file("b.jpg"));
  fireEvent.click(screen.getByRole("button", { name: "Cancel a.jpg" }));
  await act(() =>
    Promise.resolve(HeldUpload.made[0]?.ends(201, { frames: [{ id: "1", sha256: "" }], rejected: [] })),
  );
  expect(row("a.jpg")?.getAttribute("data-state")).toBe("cancelled");
  fireEvent.click(screen.getByRole("button", { name: "Cancel all" }));
  expect(row("b.jpg")?.getAttribute("data-state")).toBe("cancelled");
  fireEvent.click(screen.getByRole("button", { name: "Clear" }));
  expect(screen.queryByTitle("a.jpg")).toBeNull();
});

test("files that systems leave in folders are left out", () => {
  const names = withoutHidden([".DS_Store", "Thumbs.db", "desktop.ini", "a.jpg"].map((name) => ({ name })));
  expect(names).toEqual([{ name: "a.jpg" }]);
});

test("a dropped folder is opened to any depth, also where it has more entries than a reader gives at once", async () => {
  const asEntry = (name: string) => ({
    isFile: true,
    file: (done: (found: File) => void) => done(file(name)),
  });
  const folder = (batches: unknown[][]) => ({
    isFile: false,
    createReader: () => {
      const left = [...batches, []];
      return { readEntries: (done: (entries: unknown[]) => void) => done(left.shift() ?? []) };
    },
  });
  const inner = folder([[asEntry("c.jpg"), asEntry(".hidden")]]);
  const outer = folder([[asEntry("a.jpg")], [asEntry("b.jpg"), inner]]);
  const data = { items: [{ webkitGetAsEntry: () => outer }, { webkitGetAsEntry: () => null }], files: [] };
  const found = await filesFromDrop(data as unknown as DataTransfer);
  expect(found.map(({ name }) => name)).toEqual(["a.jpg", "b.jpg", "c.jpg"]);
});

test("a browser that knows no entries gives its plain list of files", async () => {
  const data = { items: [], files: [file("a.jpg"), file(".hidden")] };
  const found = await filesFromDrop(data as unknown as DataTransfer);
  expect(found.map(({ name }) => name)).toEqual(["a.jpg"]);
});
