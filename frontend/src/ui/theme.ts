/** One choice between light and dark for every page, kept in a cookie so that the server draws it at once. */

const YEAR_S = 31_536_000;

/** Pages of ours say the theme on <html>; the administration, whose <html> is Django's, says it in a <meta>. */
function current(): string {
  const said = document.querySelector<HTMLMetaElement>('meta[name="aivd-theme"]')?.content;
  return document.documentElement.dataset["theme"] ?? said ?? "dark";
}

function switchTheme(): void {
  const theme = current() === "dark" ? "light" : "dark";
  document.documentElement.dataset["theme"] = theme;
  document.cookie = `aivd_theme=${theme}; path=/; max-age=${YEAR_S}; samesite=lax`;
}

export function offerThemeSwitch(): void {
  document.getElementById("theme-switch")?.addEventListener("click", switchTheme);
}
