// @vitest-environment happy-dom
import { fireEvent, screen, waitFor } from "@testing-library/react";
import { beforeEach, describe, expect, test, vi } from "vitest";

import type { Frame } from "../../api/types";
import { aFrame, aReview } from "../../testing";
import { aServer, draw, onACleanPage, refusal } from "../../testingDom";
import * as pixels from "./pixels";
import { TemplateDialog } from "./TemplateDialog";

vi.mock("./pixels");
onACleanPage();

const passed = { outcome: "pass", code: "clean", reason: "Nothing.", decided_at: "", latency_ms: 9 } as Frame["decision"];
const failed = { ...passed, outcome: "fail" } as Frame["decision"];
const good = aFrame({ id: "1", decision: passed });
const withTemplate = aFrame({
  id: "1",
  decision: passed,
  urls: { picture: "/p/1", rendition: "/r/1", thumbnail: "/t/1", template: "/golden/1" },
});
const lies = { dx: 0, dy: 0, changed: 0.008 };
const closed = vi.fn();
const changed = vi.fn();

beforeEach(() => {
  closed.mockClear();
  changed.mockClear();
  vi.mocked(pixels.sizeOf).mockResolvedValue({ width: 640, height: 640 });
  vi.mocked(pixels.fetchPicture).mockResolvedValue(new Blob(["picture"]));
  vi.mocked(pixels.alignment).mockResolvedValue(lies as Awaited<ReturnType<typeof pixels.alignment>>);
});

function open(frame: Frame = good, answers = {}) {
  const server = aServer({
    "PUT /api/v1/stations/1/template": {},
    "DELETE /api/v1/stations/1/template": {},
    ...answers,
  });
  draw(<TemplateDialog frame={frame} onClose={closed} onChanged={changed} />);
  return server;
}
const useThis = () => screen.getByRole<HTMLButtonElement>("button", { name: /Use this frame/ });
const choose = (name = "golden.png") =>
  fireEvent.change(document.querySelector("input[type=file]") as HTMLInputElement, {
    target: { files: [new File(["picture"], name, { type: "image/png" })] },
  });

describe("this frame as golden template", () => {
  test("is set for the station, the page hears of it, and the dialog goes", async () => {
    const server = open();
    fireEvent.click(useThis());
    expect(await screen.findByText(/The golden template is set/)).toBeTruthy();
    expect(server.of("PUT /api/v1/stations/1/template")[0]?.body).toEqual({ frame: "1" });
    expect([changed.mock.calls.length, closed.mock.calls.length]).toEqual([1, 1]);
  });

  test.each([
    ["did not pass, and nobody judged it", aFrame({ decision: failed }), /did not pass, and nobody has judged it/],
    ["is undecided", aFrame({ decision: null }), /did not pass/],
    [
      "was judged defective, though it passed",
      aFrame({ decision: passed, reviews: [aReview({ part: "defective" })] }),
      /does not say that this part is good/,
    ],
    [
      "was judged unsure",
      aFrame({ decision: passed, reviews: [aReview({ part: "", verdict: "unsure" })] }),
      /does not say that this part is good/,
    ],
  ])("is not offered where it %s", (_, frame, why) => {
    open(frame);
    expect(useThis().disabled).toBe(true);
    expect(screen.getByText(why)).toBeTruthy();
  });

  test("is offered where a person judged it good, though the machine failed it", () => {
    open(aFrame({ decision: failed, reviews: [aReview({ part: "good", verdict: "reject" })] }));
    expect(useThis().disabled).toBe(false);
  });

  test("that the server refuses leaves the dialog open, with its words", async () => {
    const no = refusal(409, "not_golden", "Somebody has judged it defective.", "Open another frame.");
    open(good, { "PUT /api/v1/stations/1/template": no });
    fireEvent.click(useThis());
    expect(await screen.findByText("Somebody has judged it defective.")).toBeTruthy();
    expect(closed).not.toHaveBeenCalled();
    expect(useThis().disabled).toBe(false);
  });
});

describe("a file as golden template", () => {
  test("is laid on this frame first, and set when the person says so", async () => {
    const server = open();
    choose();
    expect(await screen.findByText(/0\.8 % of this frame differs from it/)).toBeTruthy();
    fireEvent.click(screen.getByRole("button", { name: "Set as golden template" }));
    await waitFor(() => expect(server.of("PUT /api/v1/stations/1/template")).toHaveLength(1));
    expect(server.of("PUT /api/v1/stations/1/template")[0]?.headers.get("Content-Type")).toBe("image/png");
  });

  test("of another size is not offered, and both sizes are said", async () => {
    vi.mocked(pixels.sizeOf).mockResolvedValue({ width: 800, height: 600 });
    open();
    choose();
    expect(await screen.findByText(/It has 800 × 600 pixels, .* 640 × 640/)).toBeTruthy();
    expect(screen.queryByRole("button", { name: "Set as golden template" })).toBeNull();
  });

  test("that is no picture is said to be none", async () => {
    vi.mocked(pixels.sizeOf).mockRejectedValue(new Error("cannot be drawn"));
    open();
    choose("notes.txt");
    expect(await screen.findByText("This file is not a supported picture.")).toBeTruthy();
  });

  test("chosen second counts, also where the first is looked at longer", async () => {
    let late: (size: { width: number; height: number }) => void = () => undefined;
    vi.mocked(pixels.sizeOf).mockReturnValueOnce(new Promise((done) => (late = done)));
    open();
    choose("first.png");
    expect(screen.getByText("Looking at the file")).toBeTruthy();
    choose("second.png");
    expect(await screen.findByRole("button", { name: "Set as golden template" })).toBeTruthy();
    late({ width: 1, height: 1 });
    await Promise.resolve();
    expect(screen.queryByText(/It has 1 × 1/)).toBeNull();
  });
});

describe("a template that is set", () => {
  test("is shown with how this frame lies on it, and can be removed", async () => {
    const server = open(withTemplate);
    const picture = screen.getByRole("img", { name: "The golden template that is set now" });
    expect(picture.getAttribute("src")).toBe("/golden/1");
    expect(await screen.findByText(/differs from it/)).toBeTruthy();
    fireEvent.click(screen.getByRole("button", { name: "Remove the template" }));
    expect(await screen.findByText(/Frames are inspected without one/)).toBeTruthy();
    expect(server.of("DELETE /api/v1/stations/1/template")).toHaveLength(1);
  });

  test("whose picture cannot be fetched is shown without figures", async () => {
    vi.mocked(pixels.fetchPicture).mockRejectedValue(new Error("status 503"));
    open(withTemplate);
    await waitFor(() => expect(pixels.fetchPicture).toHaveBeenCalled());
    expect(screen.getByText(/Set now\./).textContent).toBe("Set now. ");
  });

  test("is not offered for removal where there is none", () => {
    open();
    expect(screen.queryByRole("button", { name: "Remove the template" })).toBeNull();
  });
});
