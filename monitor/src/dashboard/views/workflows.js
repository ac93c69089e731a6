// Steps that wait for each other, and how far they have come.
import { get } from "../lib/api.js";
import { h } from "../lib/dom.js";
import { NOTHING, count, exact } from "../lib/format.js";
import { to } from "../lib/route.js";
import { state } from "../parts/state.js";
import { table } from "../parts/table.js";
import { when } from "../parts/time.js";

/** `#/workflows` */
export function workflows() {
  let known = [];
  return {
    title: "Workflows",
    async load(signal) {
      ({ workflows: known } = await get("api/workflows", signal));
    },
    view: () => [
      h("div", { class: "head" }, h("h2", null, "Workflows")),
      table(columns, known, {
        key: workflow => workflow.id,
        caption: "The latest workflows",
        empty: "No workflow was handed in yet: POST /workflows at the gateway.",
        row: () => ({ tabindex: "0" }),
      }),
    ],
  };
}

const soft = text => h("span", { class: "soft" }, text);
const number = name => ({
  name,
  class: "number",
  title: ({ steps }) => exact(steps[name]),
  cell: ({ steps }) => (steps[name] > 0 ? count(steps[name]) : soft("0")),
});

const columns = [
  {
    name: "workflow",
    class: "main",
    cell: ({ id, app }) => [
      h("a", { class: "mono id", href: to("workflows", id) }, id),
      h("span", { class: "soft small block" }, app ? `by ${app}` : NOTHING),
    ],
  },
  { name: "state", cell: workflow => state(workflow.state) },
  number("waiting"),
  number("running"),
  number("succeeded"),
  number("failed"),
  { name: "handed in", cell: ({ at }) => when(at) },
  { name: "ended", cell: ({ ended }) => (ended ? when(ended) : soft(NOTHING)) },
  { name: "problem", class: "error", cell: ({ error }) => error ?? soft(NOTHING) },
];
