// @vitest-environment happy-dom
/** What this browser keeps for a person: begun corrections and how they want to go on. Storage may say anything. */
import { afterEach, describe, expect, test, vi } from "vitest";

import { changeDraft, EMPTY_DRAFT } from "../../domain/reviewDraft";
import { keepDraft, loadDraft } from "./draftStorage";
import { keepSettings, loadSettings } from "./settings";

afterEach(() => localStorage.clear());
const begun = changeDraft(EMPTY_DRAFT, { kind: "note", note: "scratched" });

describe("a begun draft", () => {
  test("comes back for the same person and frame, and for nobody else", () => {
    keepDraft("alice", "1", begun);
    expect(loadDraft("alice", "1").note).toBe("scratched");
    expect(loadDraft("alice", "2")).toEqual(EMPTY_DRAFT);
    expect(loadDraft("bob", "1")).toEqual(EMPTY_DRAFT);
  });

  test("leaves nothing behind once it is empty again", () => {
    keepDraft("alice", "1", begun);
    keepDraft("alice", "1", EMPTY_DRAFT);
    expect(localStorage.length).toBe(0);
  });

  test.each(["{not json", "null", "[]", "7", '{"note":"x"}', '{"classes":{},"defects":{},"note":5}'])(
    "that reads %s is none",
    (kept) => {
      localStorage.setItem("aivd.drafts.alice.1", kept);
      expect(loadDraft("alice", "1")).toEqual(EMPTY_DRAFT);
    },
  );

  test("lives as long as the page where storage is switched off", () => {
    const off = vi.fn(() => {
      throw new DOMException("off", "SecurityError");
    });
    vi.stubGlobal("localStorage", { setItem: off, getItem: off });
    keepDraft("alice", "1", begun);
    keepSettings("alice", { advance: true });
    expect([loadDraft("alice", "1"), loadSettings("alice", true)]).toEqual([EMPTY_DRAFT, { advance: true }]);
    expect(off).toHaveBeenCalledTimes(4);
    vi.unstubAllGlobals();
  });
});

describe("going on after a verdict", () => {
  test.each([true, false])("is %s by default where nobody has chosen", (byDefault) => {
    expect(loadSettings("alice", byDefault)).toEqual({ advance: byDefault });
  });

  test("is as this person chose, whatever a page does by default", () => {
    keepSettings("alice", { advance: false });
    expect(loadSettings("alice", true)).toEqual({ advance: false });
    expect(loadSettings("bob", true)).toEqual({ advance: true });
  });

  test.each(["{not json", '{"advance":"yes"}', "{}"])("is the default where storage reads %s", (kept) => {
    localStorage.setItem("aivd.settings.alice", kept);
    expect(loadSettings("alice", true)).toEqual({ advance: true });
  });
});
