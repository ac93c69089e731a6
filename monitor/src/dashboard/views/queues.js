// The queues: how full, how fast, how long until they are empty, and who takes from them.
import { get } from "../lib/api.js";
import { h } from "../lib/dom.js";
import { NOTHING, count, duration, exact, rate } from "../lib/format.js";
import { to } from "../lib/route.js";
import { queue as act } from "../parts/actions.js";
import { icon } from "../parts/icon.js";
import { shares } from "../parts/meter.js";
import { state } from "../parts/state.js";
import { facts, table } from "../parts/table.js";
import { lasting } from "../parts/time.js";

/** `#/queues` */
export function queues() {
  let known = null;
  return {
    title: "Queues",
    async load(signal) {
      known = await get("api/queues", signal);
    },
    view: () => [h("div", { class: "head" }, h("h2", null, "Queues")), queueTable(known.queues, true), beside(known)],
  };
}

/** The queues as a table; with their buttons or without. */
export function queueTable(queues, buttons) {
  const largest = Math.max(1, ...queues.map(inside));
  const columns = [
    {
      name: "queue",
      class: "main",
      cell: queue => [
        h("a", { href: to("queues", queue.queue) }, queue.queue),
        queue.paused && state("paused", paused(queue.paused)),
      ],
    },
    {
      name: "depth",
      class: "wide",
      cell: queue => [shares(depth(queue), largest), h("span", { class: "number" }, count(inside(queue)))],
    },
    {
      name: "queued",
      class: "number",
      title: queue => `by the broker's word ${exact(queue.ready)} ready`,
      cell: queue => tasks(queue, "queued"),
    },
    { name: "delayed", class: "number spare", cell: queue => tasks(queue, "delayed") },
    { name: "running", class: "number", cell: queue => tasks(queue, "running") },
    { name: "in", class: "number", cell: queue => rate(queue.arrival_rate) },
    { name: "out", class: "number", cell: queue => rate(queue.service_rate) },
    { name: "empty in", class: "number", title: () => "at the rates of the last minute", cell: drains },
    { name: "oldest waits", class: "number", cell: queue => (queue.oldest ? lasting(queue.oldest) : NOTHING) },
    {
      name: "consumers",
      class: "number",
      cell: queue =>
        queue.consumers === 0 && queue.states.queued > 0 && !queue.paused
          ? h("b", { class: "tone-dead" }, "none")
          : count(queue.consumers),
    },
    {
      name: "dead",
      class: "number",
      title: queue => `by the broker's word ${exact(queue.dead)}, and ${exact(queue.suspect)} suspect`,
      cell: queue =>
        queue.states.dead
          ? h("a", { class: "tone-dead", href: to("dead", null, { queue: queue.queue }) }, count(queue.states.dead))
          : "0",
    },
  ];
  if (buttons) columns.push({ name: "", label: "", class: "acts", cell: pauseButton });
  return table(columns, queues, {
    key: queue => queue.queue,
    caption: "Queues",
    empty: "No queue is known yet.",
    row: () => ({ tabindex: "0" }),
  });
}

const inside = queue => queue.states.queued + queue.states.delayed + queue.states.running;
const depth = queue => [
  ["running", queue.states.running],
  ["queued", queue.states.queued],
  ["delayed", queue.states.delayed],
];
const tasks = (queue, name) =>
  queue.states[name]
    ? h(
        "a",
        { href: to("tasks", null, { queue: queue.queue, state: name }), title: exact(queue.states[name]) },
        count(queue.states[name]),
      )
    : "0";
const drains = queue =>
  // What is taken within a second or two does not pile up, whichever rate is ahead.
  queue.states.queued <= 2 * (queue.service_rate ?? 0)
    ? NOTHING
    : queue.drain_seconds === null || queue.drain_seconds === undefined
      ? h("span", { class: "soft" }, queue.paused ? "paused" : "grows")
      : duration(queue.drain_seconds * 1_000);

/** Who paused it and why. */
export const paused = ({ by, at, reason }) =>
  `paused by ${by}, ${new Date(at).toLocaleString()}${reason ? `: ${reason}` : ""}`;

/** Pauses a queue, or lets it go on. */
export const pauseButton = queue =>
  queue.paused
    ? h("button", { type: "button", class: "button", onclick: () => act.resume(queue.queue) }, icon("play"), "Resume")
    : h("button", { type: "button", class: "button", onclick: () => act.pause(queue.queue) }, icon("pause"), "Pause");

// What lies in the broker beside the queues of tasks.
function beside(known) {
  const levels = Object.entries(known.delay ?? {}).filter(([, number]) => number > 0);
  const stays = level => duration(100 * 2 ** Number(level));
  return h(
    "section",
    null,
    h("div", { class: "head" }, h("h2", null, "Beside them")),
    h(
      "div",
      { class: "sheet pad" },
      facts([
        [
          "Unroutable",
          [
            count(known.unroutable),
            h(
              "span",
              { class: "soft" },
              known.unroutable ? " messages named a queue that does not exist" : " every message found its queue",
            ),
          ],
        ],
        ["Foreign submissions to take in", count(known.tap)],
        [
          "Delay ladder",
          levels.length
            ? h(
                "ul",
                { class: "ladder" },
                levels.map(([level, number]) =>
                  h("li", { key: level, title: `level ${level}` }, h("b", null, count(number)), ` for ${stays(level)}`),
                ),
              )
            : "empty",
        ],
      ]),
    ),
  );
}
