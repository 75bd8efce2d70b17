/** How the golden template is shown beside or over the frame, and why it cannot be where there is none. */
import { useState } from "react";

import type { Frame } from "../../api/types";
import { useMessages } from "../../ui/toasts";
import { NEXT_MODE, type TemplateMode } from "./ViewerPane";

export function useTemplateMode(frame: Frame, mayConfigure: boolean): [TemplateMode, () => void] {
  const { say } = useMessages();
  const [mode, setMode] = useState<TemplateMode>("off");
  const next = () => {
    if (frame.urls.template !== null) setMode((now) => NEXT_MODE[now]);
    else say(whyNoTemplate(frame, mayConfigure));
  };
  return [mode, next];
}

function whyNoTemplate(frame: Frame, mayConfigure: boolean): string {
  const missing = `${frame.station.name} has no golden template.`;
  return mayConfigure
    ? `${missing} “Set template” below the picture makes one of a good frame or of a file.`
    : `${missing} An engineer of ${frame.line.name} can set one.`;
}
