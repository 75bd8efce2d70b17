/** Mount one island on the page's `<main>`. */
import { QueryClientProvider } from "@tanstack/react-query";
import { StrictMode, type ReactNode } from "react";
import { createRoot } from "react-dom/client";

import { readBoot, type Boot } from "../api/boot";
import { newQueryClient } from "../api/queries";
import { outboxOf } from "../features/verdicts/outbox";
import { Toasts, say } from "../ui/toasts";

export function mount(page: (boot: Boot) => ReactNode): void {
  const host = document.getElementById("island");
  if (host === null) return;
  const boot = readBoot();
  if (boot.me !== null && boot.frame === null) sendWhatWaits(boot.me.username);
  createRoot(host).render(
    <StrictMode>
      <QueryClientProvider client={newQueryClient()}>
        {page(boot)}
        <Toasts />
      </QueryClientProvider>
    </StrictMode>,
  );
}

/** Verdicts that were given while the server was away go out from any page; the Frame page tells of them itself. */
function sendWhatWaits(user: string): void {
  outboxOf(user).onSent(({ label, frameName }) => say(`Sent: ${label}, ${frameName}.`));
}
