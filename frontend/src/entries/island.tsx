/** Mount one island on the page's `<main>`. */
import { QueryClientProvider } from "@tanstack/react-query";
import { StrictMode, type ReactNode } from "react";
import { createRoot } from "react-dom/client";

import { readBoot, type Boot } from "../api/boot";
import { newQueryClient } from "../api/queries";
import { openOutbox, OutboxOf } from "../features/verdicts/outbox";
import { Messages, MessagesOf, Toasts } from "../ui/toasts";

export function mount(page: (boot: Boot) => ReactNode): void {
  const host = document.getElementById("island");
  if (host === null) return;
  const boot = readBoot();
  const messages = new Messages();
  const outbox = openOutbox(boot.me?.username ?? "");
  // Verdicts that were given while the server was away go out from any page; the Frame page tells of them itself.
  if (boot.frame === null)
    outbox.onSent(({ label, frameName }) => messages.say(`Sent: ${label}, ${frameName}.`));
  createRoot(host).render(
    <StrictMode>
      <QueryClientProvider client={newQueryClient()}>
        <MessagesOf value={messages}>
          <OutboxOf value={outbox}>
            {page(boot)}
            <Toasts />
          </OutboxOf>
        </MessagesOf>
      </QueryClientProvider>
    </StrictMode>,
  );
}
