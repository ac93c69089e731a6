// The states of tasks, workers and attempts. Each has a colour and a shape of its own: nobody must tell by colour alone.
import { h } from "../lib/dom.js";
import { words } from "../lib/format.js";

/** States of a task, in the order in which people read them. */
export const STATES = ["queued", "delayed", "running", "succeeded", "dead", "cancelled", "expired"];

// Hollow: it waits. Filled: it has ended. Drawn on a grid of 12.
const SHAPES = {
  queued: [["circle", { cx: 6, cy: 6, r: 4.2, class: "hollow" }]],
  delayed: [
    ["circle", { cx: 6, cy: 6, r: 4.2, class: "hollow" }],
    ["path", { d: "M6 3.6V6l1.7 1.2", class: "hollow" }],
  ],
  running: [["path", { d: "M3.2 1.8v8.4L10.4 6z" }]],
  succeeded: [
    ["circle", { cx: 6, cy: 6, r: 5 }],
    ["path", { d: "M3.7 6.2l1.6 1.6 3-3.5", class: "cut" }],
  ],
  dead: [
    ["rect", { x: 1, y: 1, width: 10, height: 10, rx: 2 }],
    ["path", { d: "M4 4l4 4M8 4L4 8", class: "cut" }],
  ],
  cancelled: [
    ["circle", { cx: 6, cy: 6, r: 4.2, class: "hollow" }],
    ["path", { d: "M3.2 8.8l5.6-5.6", class: "hollow" }],
  ],
  expired: [["path", { d: "M2.5 1.5h7L6 6l3.5 4.5h-7L6 6z" }]],
  warning: [
    ["path", { d: "M6 1l5.4 9.8H.6z" }],
    ["path", { d: "M6 4.5v3M6 9.1h.01", class: "cut" }],
  ],
};

// What else there is looks like one of them.
const LIKE = {
  alive: "succeeded",
  draining: "delayed",
  not_consuming: "warning",
  stopped: "cancelled",
  lost: "dead",
  success: "succeeded",
  retryable: "warning",
  permanent: "dead",
  timeout: "expired",
  crashed: "dead",
  returned: "delayed",
  stale: "cancelled",
  done: "succeeded",
  failed: "dead",
  canary: "delayed",
  paused: "warning",
  discarded: "cancelled",
  replayed: "queued",
  waiting: "queued",
  skipped: "cancelled",
  stopping: "warning",
  cancelling: "warning",
};

/** The name of the colour of a state. */
export const tone = name => (SHAPES[name] ? name : (LIKE[name] ?? "queued"));

/** The shape of a state alone. */
export function mark(name) {
  const like = tone(name);
  return h(
    "svg",
    { viewBox: "0 0 12 12", class: `mark tone-${like}`, "aria-hidden": "true" },
    SHAPES[like].map(([tag, props]) => h(tag, props)),
  );
}

/** Shape and name. */
export const state = (name, title) =>
  name && h("span", { class: `state tone-${tone(name)}`, title }, mark(name), h("span", null, words(name)));
