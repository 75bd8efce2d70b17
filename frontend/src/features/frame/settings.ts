/** What a person has chosen for this page, in this browser. */

export interface FrameSettings {
  /** Go to the next frame once a verdict is stored. */
  advance: boolean;
}

const key = (user: string) => `aivd.settings.${user}`;

/** In the queue one goes on by default, on a page of its own one stays; who has chosen has it everywhere. */
export function loadSettings(user: string, advanceByDefault: boolean): FrameSettings {
  try {
    const kept = JSON.parse(localStorage.getItem(key(user)) ?? "{}") as Partial<FrameSettings>;
    return { advance: typeof kept.advance === "boolean" ? kept.advance : advanceByDefault };
  } catch {
    return { advance: advanceByDefault };
  }
}

export function keepSettings(user: string, settings: FrameSettings): void {
  try {
    localStorage.setItem(key(user), JSON.stringify(settings));
  } catch {
    // Storage may be switched off; the choice then lives as long as the page.
  }
}
