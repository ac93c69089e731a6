// Icons, drawn by hand on a grid of 16. They take the colour of the text.
import { h } from "../lib/dom.js";

const LINES = {
  overview: ["M2.5 13.5v-4M6.2 13.5v-8M9.8 13.5v-6M13.5 13.5v-11"],
  queues: ["M2.5 4h11M2.5 8h11M2.5 12h7"],
  workers: ["M3 3h10v4H3zM3 9h10v4H3zM5 5h.01M5 11h.01"],
  tasks: ["M2.5 4.2l1.3 1.3 2-2.3M2.5 10.2l1.3 1.3 2-2.3M8.5 4.5h5M8.5 10.5h5"],
  dead: [
    "M8 2.5c-3 0-4.5 2-4.5 4.3 0 1.7.8 2.7 2 3.3v2.4h5v-2.4c1.2-.6 2-1.6 2-3.3 0-2.3-1.5-4.3-4.5-4.3zM6.3 7h.01M9.7 7h.01M8 12.5v-1.6",
  ],
  audit: ["M4 2.5h6l2.5 2.5v8.5H4zM6.2 7.5h4M6.2 10h4"],
  schedules: ["M2.5 4h11v9.5h-11zM2.5 7h11M5.5 2.5V5M10.5 2.5V5"],
  workflows: ["M2.5 6h3.5v4H2.5zM10 2.5h3.5v4H10zM10 9.5h3.5v4H10zM6 8h2M8 4.5v7M8 4.5h2M8 11.5h2"],
  search: ["M7 11.5a4.5 4.5 0 1 0 0-9 4.5 4.5 0 0 0 0 9zM10.3 10.3l3.2 3.2"],
  sun: [
    "M8 10.8a2.8 2.8 0 1 0 0-5.6 2.8 2.8 0 0 0 0 5.6zM8 1.5v1.3M8 13.2v1.3M1.5 8h1.3M13.2 8h1.3M3.4 3.4l.9.9M11.7 11.7l.9.9M12.6 3.4l-.9.9M4.3 11.7l-.9.9",
  ],
  moon: ["M13 9.6A5.5 5.5 0 0 1 6.4 3a5.5 5.5 0 1 0 6.6 6.6z"],
  auto: ["M8 13.5a5.5 5.5 0 1 0 0-11 5.5 5.5 0 0 0 0 11zM8 2.5v11M8 5h3.5M8 8h5.3M8 11h3.5"],
  keys: ["M1.5 4.5h13v7h-13zM4 7h.01M6.6 7h.01M9.3 7h.01M12 7h.01M5 9.3h6"],
  pause: ["M5.5 3.5v9M10.5 3.5v9"],
  play: ["M5 3.2v9.6L12.5 8z"],
  drain: ["M3 3h10M8 5.5v7M5 9.8l3 3 3-3"],
  cancel: ["M4 4l8 8M12 4l-8 8"],
  retry: ["M12.8 6.5A5 5 0 1 0 13 9.3M13 3v3.5H9.5"],
  discard: ["M3 4.5h10M6.2 4.5V3h3.6v1.5M4.5 4.5l.6 9h5.8l.6-9"],
  now: ["M9 1.8L3.8 9H8l-1 5.2L12.2 7H8z"],
  copy: ["M5.5 5.5h7.5v8H5.5zM3 10.5v-8h7.5"],
  check: ["M3 8.5l3.2 3.2L13 4.8"],
  edit: ["M3 13l.7-3L10.5 3.2l2.3 2.3L6 12.3zM9 4.7L11.3 7"],
  canary: [
    "M3 12c1-4.5 3-7.5 6.5-7.5 1 0 1.8.4 2.2 1.2l1.8.8-1.8.9C11.2 11 8.8 12.5 6 12.5M9.8 6.5h.01M3 12l3 .5M6.5 12.5v1.5",
  ],
  terminal: ["M2 3.5h12v9H2zM4.5 6.2L6.7 8l-2.2 1.8M8.3 10h3"],
  warning: ["M8 2.2L14.3 13.3H1.7zM8 6.5v3.2M8 11.5h.01"],
  chevron: ["M6 3.5L10.5 8 6 12.5"],
  back: ["M10 3.5L5.5 8l4.5 4.5"],
  table: ["M2.5 3.5h11v9h-11zM2.5 6.5h11M6.5 6.5v6"],
  link: ["M6 3.5H3v9.5h9.5V10M9 3h4v4M13 3L7.5 8.5"],
};

/** An icon beside a text, or a title of its own. */
export function icon(name, props = {}) {
  return h(
    "svg",
    { viewBox: "0 0 16 16", class: "icon", "aria-hidden": "true", ...props },
    LINES[name].map(d => h("path", { d })),
  );
}
