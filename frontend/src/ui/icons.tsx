/** The few drawings of the interface. Shapes carry meaning together with a word, so all are hidden from readers. */

const PATHS = {
  pass: "M8 1.5a6.5 6.5 0 1 1 0 13 6.5 6.5 0 0 1 0-13Zm-3 6.7 2.2 2.3L11.2 6",
  fail: "M5.3 1.5h5.4l3.8 3.8v5.4l-3.8 3.8H5.3l-3.8-3.8V5.3l3.8-3.8Zm.4 4.2 4.6 4.6m0-4.6-4.6 4.6",
  hold: "M8 1.2 14.8 8 8 14.8 1.2 8 8 1.2ZM6.6 5.8v4.4m2.8-4.4v4.4",
  wait: "M8 1.5a6.5 6.5 0 1 1 0 13 6.5 6.5 0 0 1 0-13ZM8 4.5V8l2.3 1.6",
  unsure:
    "M8 1.5a6.5 6.5 0 1 1 0 13 6.5 6.5 0 0 1 0-13ZM6 6.3C6 5 6.9 4.4 8 4.4s2 .7 2 1.8c0 1.5-2 1.6-2 3m0 1.9v.4",
  warning: "M8 1.8 15 14H1L8 1.8ZM8 6.2v3.6m0 1.8v.4",
  pause: "M5 3v10M11 3v10",
  play: "M4.5 2.5v11l9-5.5-9-5.5Z",
  stop: "M3.5 3.5h9v9h-9z",
  upload: "M8 10.5v-8m0 0L4.7 5.8M8 2.5l3.3 3.3M2.5 10v3.5h11V10",
  camera: "M1.5 4.5h3l1-2h5l1 2h3v9h-13v-9ZM8 6.2a2.6 2.6 0 1 1 0 5.2 2.6 2.6 0 0 1 0-5.2Z",
  video: "M1.5 3.5h9v9h-9v-9Zm9 3.3 4-2.3v7l-4-2.3",
  board: "M2 2h12v12H2V2Zm3 3h3v3H5V5Zm3 1.5h3.5M6.5 8v3.5m3-2h2v2h-2v-2Z",
  close: "m3.5 3.5 9 9m0-9-9 9",
  retry: "M13.5 8A5.5 5.5 0 1 1 11.7 4M13.5 1.8V5h-3.2",
  left: "M10 3 5 8l5 5",
  right: "m6 3 5 5-5 5",
  plus: "M8 3v10M3 8h10",
  minus: "M3 8h10",
  fit: "M2.5 6V2.5H6m4 0h3.5V6m0 4v3.5H10m-4 0H2.5V10",
  whole: "M2 3h12v10H2z",
  eye: "M1.2 8S3.6 3.6 8 3.6 14.8 8 14.8 8 12.4 12.4 8 12.4 1.2 8 1.2 8ZM8 6a2 2 0 1 1 0 4 2 2 0 0 1 0-4Z",
  template: "M2 3h12v10H2zM8 3v10",
  undo: "M3 6.5h6.5a3.5 3.5 0 0 1 0 7H6M3 6.5 6 3.5M3 6.5l3 3",
  help: "M8 1.5a6.5 6.5 0 1 1 0 13 6.5 6.5 0 0 1 0-13ZM6 6.3C6 5 6.9 4.4 8 4.4s2 .7 2 1.8c0 1.5-2 1.6-2 3m0 1.9v.4",
  machine: "M3.5 5.5h9v7h-9v-7Zm4.5 0v-3m-2 6v1m4-1v1M1.5 8v2m13-2v2",
  node: "M2 2.5h12v4.5H2V2.5Zm0 6.5h12v4.5H2V9Zm2.5-4.3h.5m-.5 6.5h.5",
  cloud: "M4.5 12.5a3 3 0 0 1-.4-6A4 4 0 0 1 11.8 6a3.3 3.3 0 0 1-.3 6.5h-7Z",
  dot: "M8 3.5a4.5 4.5 0 1 1 0 9 4.5 4.5 0 0 1 0-9Z",
  ring: "M8 2.5a5.5 5.5 0 1 1 0 11 5.5 5.5 0 0 1 0-11Z",
  theme: "M8 1.5a6.5 6.5 0 1 1 0 13 6.5 6.5 0 0 1 0-13Zm0 0v13",
  tray: "M2 9.5h3.5l1 2h3l1-2H14M2 9.5 4 3h8l2 6.5v4H2v-4Z",
} as const;

export type IconName = keyof typeof PATHS;

const FILLED: ReadonlySet<IconName> = new Set(["dot", "play", "stop"]);

export function Icon({ name }: { name: IconName }) {
  return (
    <svg
      className="icon"
      viewBox="0 0 16 16"
      fill={FILLED.has(name) ? "currentColor" : "none"}
      stroke="currentColor"
      strokeWidth="1.5"
      strokeLinecap="round"
      strokeLinejoin="round"
      aria-hidden="true"
      focusable="false"
    >
      <path d={PATHS[name]} />
    </svg>
  );
}
