/** On every page: the look, and the switch between light and dark. Islands bring their own code. */
import "@fontsource/inter/latin-400.css";
import "@fontsource/inter/latin-600.css";
import "../ui/tokens.css";
import "../ui/base.css";
import "../ui/components.css";
import "../ui/signin.css";

const YEAR_S = 31_536_000;

function switchTheme(): void {
  const root = document.documentElement;
  const theme = root.dataset["theme"] === "dark" ? "light" : "dark";
  root.dataset["theme"] = theme;
  document.cookie = `aivd_theme=${theme}; path=/; max-age=${YEAR_S}; samesite=lax`;
}

document.getElementById("theme-switch")?.addEventListener("click", switchTheme);

/** What a person has begun to write is theirs: whoever signs in here next finds none of it. */
function forgetDrafts(): void {
  for (const key of Object.keys(localStorage)) {
    if (key.startsWith("aivd.drafts.")) localStorage.removeItem(key);
  }
}

document.querySelector('form[action$="/sign-out/"]')?.addEventListener("submit", forgetDrafts);
