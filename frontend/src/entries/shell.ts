/** On every page: the look, and the switch between light and dark. Islands bring their own code. */
import "@fontsource/inter/latin-400.css";
import "@fontsource/inter/latin-600.css";
import "../ui/tokens.css";
import "../ui/base.css";
import "../ui/components.css";
import "../ui/forms.css";
import "../ui/signin.css";
import { offerThemeSwitch } from "../ui/theme";

offerThemeSwitch();

/** What a person has begun to write is theirs: whoever signs in here next finds none of it. */
function forgetDrafts(): void {
  for (const key of Object.keys(localStorage)) {
    if (key.startsWith("aivd.drafts.")) localStorage.removeItem(key);
  }
}

document.querySelector('form[action$="/sign-out/"]')?.addEventListener("submit", forgetDrafts);
