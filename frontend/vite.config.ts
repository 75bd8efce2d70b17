/** How the islands are built and tested. Output goes to dist/ with a manifest that django-vite reads. */
import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

export default defineConfig({
  plugins: [react()],
  // Relative, so that the same build works under any STATIC_URL, a CDN included.
  base: "./",
  build: {
    // Not under .vite/: collectstatic leaves out folders that begin with a dot.
    manifest: "manifest.json",
    outDir: "dist",
    emptyOutDir: true,
    // Fonts and icons stay files: the content security policy allows no data: fonts.
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 700,
    rolldownOptions: {
      input: {
        shell: "src/entries/shell.ts",
        admin: "src/entries/admin.ts",
        review: "src/entries/review.tsx",
        live: "src/entries/live.tsx",
        frame: "src/entries/frame.tsx",
        fleet: "src/entries/fleet.tsx",
        datasets: "src/entries/datasets.tsx",
        runs: "src/entries/runs.tsx",
      },
    },
  },
  server: { host: "127.0.0.1" },
  test: {
    environment: "node",
    include: ["src/**/*.test.{ts,tsx}"],
    restoreMocks: true,
    // For a machine that has much else to do; what is wrong fails at once all the same.
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
