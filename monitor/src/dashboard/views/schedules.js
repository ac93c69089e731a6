// What is to run when, and how it goes. It is changed at the gateway, or in the file that it comes from.
import { get } from "../lib/api.js";
import { h } from "../lib/dom.js";
import { NOTHING, count, duration, exact, words } from "../lib/format.js";
import { to } from "../lib/route.js";
import { icon } from "../parts/icon.js";
import { table } from "../parts/table.js";
import { when } from "../parts/time.js";

/** `#/schedules` */
export function schedules() {
  let known = [];
  return {
    title: "Schedules",
    async load(signal) {
      ({ schedules: known } = await get("api/schedules", signal));
    },
    view: () => [
      h("div", { class: "head" }, h("h2", null, "Schedules")),
      table(columns, known, {
        key: schedule => schedule.name,
        caption: "Schedules",
        empty: "Nothing recurs. Put a schedule there: PUT /schedules/NAME at the gateway.",
        row: () => ({ tabindex: "0" }),
      }),
    ],
  };
}

const soft = text => h("span", { class: "soft" }, text);
const below = (...text) => h("span", { class: "soft small block" }, ...text);

const columns = [
  {
    name: "schedule",
    class: "main",
    cell: ({ name, origin }) => [
      h("span", { class: "mono" }, name),
      below(origin === "file" ? "from a file" : "by API"),
    ],
  },
  {
    name: "when",
    cell: ({ cron, zone, every_ms }) =>
      cron ? [h("span", { class: "mono" }, cron), below(zone)] : `every ${duration(every_ms)}`,
  },
  {
    name: "task",
    cell: ({ kind, queue }) => [
      h("a", { href: to("tasks", null, { kind }) }, kind ?? NOTHING),
      below("in ", h("a", { href: to("queues", queue) }, queue)),
    ],
  },
  {
    name: "next",
    cell: ({ paused, next }) =>
      paused ? [icon("pause"), " paused"] : next ? when(next) : soft("none to come"),
  },
  {
    name: "last task",
    cell: ({ last_task, last_at }) =>
      last_task ? h("a", { class: "id", href: to("tasks", last_task), title: last_task }, when(last_at)) : soft(NOTHING),
  },
  {
    name: "handed in",
    class: "number",
    title: ({ published }) => exact(published),
    cell: ({ published }) => count(published),
  },
  {
    name: "dropped",
    class: "number",
    title: ({ missed, overlapped, refused }) =>
      `${exact(missed)} missed, ${exact(overlapped)} while the one before was not over, ${exact(refused)} refused`,
    cell: ({ missed, overlapped, refused }) => count(missed + overlapped + refused),
  },
  { name: "policies", cell: ({ misfire, overlap }) => soft(`missed: ${misfire}, overlap: ${words(overlap)}`) },
  { name: "problem", class: "error", cell: ({ problem }) => problem ?? soft(NOTHING) },
];
