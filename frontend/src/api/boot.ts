/** What the page's template already knows, left in a `json_script` element. */
import { setCsrfToken } from "./client";
import type { Line, Me } from "./types";

export interface Boot {
  me: Me | null;
  line: Line | null;
  lines: Line[];
  frame: string | null;
  /** The frames received next after and last before this one on its line. */
  newer: string | null;
  older: string | null;
  may_make_lines: boolean;
  may_manage_fleet: boolean;
  may_replay: boolean;
  csrf: string;
}

export function readBoot(): Boot {
  const element = document.getElementById("boot");
  const boot = JSON.parse(element?.textContent ?? "{}") as Partial<Boot>;
  const whole: Boot = {
    me: null,
    line: null,
    lines: [],
    frame: null,
    newer: null,
    older: null,
    may_make_lines: false,
    may_manage_fleet: false,
    may_replay: false,
    csrf: "",
    ...boot,
  };
  setCsrfToken(whole.csrf);
  return whole;
}
