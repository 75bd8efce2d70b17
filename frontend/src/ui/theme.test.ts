// @vitest-environment happy-dom
import { beforeEach, expect, test } from "vitest";

import { offerThemeSwitch } from "./theme";

const root = document.documentElement;

beforeEach(() => {
  delete root.dataset["theme"];
  document.head.innerHTML = "";
  document.body.innerHTML = '<button id="theme-switch">Light or dark</button>';
  document.cookie = "aivd_theme=; path=/; max-age=0";
});
const press = () => document.getElementById("theme-switch")?.click();

test("each press goes to the other one, and a cookie keeps it for the server", () => {
  root.dataset["theme"] = "light";
  offerThemeSwitch();
  press();
  expect(root.dataset["theme"]).toBe("dark");
  expect(document.cookie).toContain("aivd_theme=dark");
  press();
  expect(root.dataset["theme"]).toBe("light");
  expect(document.cookie).toContain("aivd_theme=light");
});

test("in the administration the theme stands in a meta element", () => {
  document.head.innerHTML = '<meta name="aivd-theme" content="light">';
  offerThemeSwitch();
  press();
  expect(root.dataset["theme"]).toBe("dark");
});

test("where nobody has said anything the page is dark, so the first press makes it light", () => {
  offerThemeSwitch();
  press();
  expect(root.dataset["theme"]).toBe("light");
});

test("a page without the switch is left alone", () => {
  document.body.innerHTML = "";
  offerThemeSwitch();
  expect(root.dataset["theme"]).toBeUndefined();
});
