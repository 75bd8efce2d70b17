/** Django's administration in our colours and type, light or dark as everywhere. */
import "@fontsource/inter/latin-400.css";
import "@fontsource/inter/latin-600.css";
import "../ui/tokens.css";
import "../ui/admin.css";
import { offerThemeSwitch } from "../ui/theme";

offerThemeSwitch();
