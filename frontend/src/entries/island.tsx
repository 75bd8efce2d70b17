/** Mount one island on the page's `<main>`. */
import { StrictMode, type ReactNode } from "react";
import { createRoot } from "react-dom/client";

import { readBoot, type Boot } from "../api/boot";
import { Toasts } from "../ui/toasts";

export function mount(page: (boot: Boot) => ReactNode): void {
  const host = document.getElementById("island");
  if (host === null) return;
  createRoot(host).render(
    <StrictMode>
      {page(readBoot())}
      <Toasts />
    </StrictMode>,
  );
}
