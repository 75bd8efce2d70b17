/** What a person has chosen for this page, in this browser. */

export interface FrameSettings {
  /** Go to the next frame once a verdict is stored. */
  advance: boolean;
}

const DEFAULTS: FrameSettings = { advance: false };
const key = (user: string) => `aivd.settings.${user}`;

export function loadSettings(user: string): FrameSettings {
  try {
    const kept = JSON.parse(localStorage.getItem(key(user)) ?? "{}") as Partial<FrameSettings>;
    return { advance: kept.advance === true };
  } catch {
    return DEFAULTS;
  }
}

export function keepSettings(user: string, settings: FrameSettings): void {
  try {
    localStorage.setItem(key(user), JSON.stringify(settings));
  } catch {
    // Storage may be switched off; the choice then lives as long as the page.
  }
}
