// One workflow: its picture with live states, and its steps.
import { Problem, find, segment } from "../lib/api.js";
import { h } from "../lib/dom.js";
import { NOTHING, exact, plural, words } from "../lib/format.js";
import { to, turn } from "../lib/route.js";
import { workflow as act } from "../parts/actions.js";
import { graph } from "../parts/graph.js";
import { icon } from "../parts/icon.js";
import { state } from "../parts/state.js";
import { table } from "../parts/table.js";
import { when } from "../parts/time.js";

// Who looks for one among thousands asks for a state.
const LISTED = 200;

/** `#/workflows/ID` */
export function workflow(context) {
  const { id } = context.place;
  let known = null;
  return {
    title: `Workflow ${id}`,
    async load(signal) {
      known = await find(`api/workflows/${segment(id)}`, signal);
      if (!known) throw new Problem(404, `nothing is known of a workflow ${id}`);
    },
    view() {
      const { parameters } = context.place;
      const asked = { state: parameters.get("state"), layer: parameters.get("layer") };
      const found = known.graph.filter(
        step => (!asked.state || step.state === asked.state) && (!asked.layer || String(step.layer) === asked.layer),
      );
      return [
        heading(known),
        known.error &&
          h("p", { class: "problem banner", key: "error" }, icon("warning"), h("span", null, known.error)),
        graph(known.graph, chosen => turn(chosen)),
        h(
          "div",
          { class: "head", key: "steps" },
          h("h2", null, asked.state || asked.layer ? `${plural(found.length, "step")}` : "Steps"),
          (asked.state || asked.layer) &&
            h("button", { class: "button", onclick: () => turn({ state: null, layer: null }) }, "Show all"),
        ),
        table(columns(known), found.slice(0, LISTED), {
          key: step => step.step,
          caption: "Steps",
          empty: "No step stands so.",
          row: () => ({ tabindex: "0" }),
        }),
        found.length > LISTED && h("p", { class: "soft", key: "more" }, `and ${exact(found.length - LISTED)} more`),
      ];
    },
  };
}

function heading(known) {
  const { id, at, app, ended, steps } = known;
  const failed = steps.failed + steps.cancelled > 0;
  const counts = Object.entries(steps).filter(([, number]) => number > 0);
  return h(
    "div",
    { class: "head", key: "head" },
    h(
      "h2",
      null,
      h(
        "a",
        { class: "back", href: to("workflows"), title: "All workflows" },
        icon("back"),
        h("span", { class: "hidden" }, "All workflows"),
      ),
      h("span", { class: "mono" }, id),
      " ",
      state(known.state),
      h(
        "span",
        { class: "soft small block" },
        counts.map(([name, number]) => `${exact(number)} ${words(name)}`).join(", "),
        " · handed in ",
        when(at),
        app && ` by ${app}`,
        ended && [" · ended ", when(ended)],
      ),
    ),
    h(
      "div",
      { class: "buttons" },
      failed && known.state !== "cancelling" && h("button", { class: "button", onclick: () => act.retry(id) }, icon("retry"), "Retry"),
      !ended && h("button", { class: "button danger", onclick: () => act.cancel(id) }, icon("cancel"), "Cancel"),
    ),
  );
}

const soft = text => h("span", { class: "soft" }, text);

const columns = known => [
  {
    name: "step",
    class: "main",
    cell: ({ step, task }) =>
      task ? h("a", { class: "mono id", href: to("tasks", task) }, step) : h("span", { class: "mono" }, step),
  },
  { name: "state", cell: step => state(step.state) },
  {
    name: "after",
    cell: ({ after, on_failure }) =>
      after.length === 0
        ? soft(NOTHING)
        : [
            after
              .slice(0, 5)
              .map(place => known.graph[place].step + (on_failure[place] ? ` (${words(on_failure[place])})` : ""))
              .join(", "),
            after.length > 5 && soft(` and ${exact(after.length - 5)} more`),
          ],
  },
  {
    name: "tasks",
    class: "number",
    cell: ({ job, chunks, chunks_over }) =>
      job === "split" ? `${exact(chunks_over)} of ${exact(chunks)}` : job === "workflow" ? soft("steps of its own") : "1",
  },
  { name: "problem", class: "error", cell: ({ error }) => error ?? soft(NOTHING) },
];
