// Who did what to the pool, and why.
import { get, path } from "../lib/api.js";
import { h } from "../lib/dom.js";
import { NOTHING, words } from "../lib/format.js";
import { to } from "../lib/route.js";
import { subject } from "../parts/jobs.js";
import { pages } from "../parts/pages.js";
import { table } from "../parts/table.js";
import { when } from "../parts/time.js";

/** `#/audit` */
export function audit(context) {
  let known = { actions: [], next: null };
  return {
    title: "Audit trail",
    async load(signal) {
      known = await get(path("api/actions", { limit: 100, cursor: context.place.parameters.get("cursor") }), signal);
    },
    view: () => [
      h("div", { class: "head" }, h("h2", null, "Audit trail")),
      table(
        [
          { name: "when", class: "number", cell: action => when(action.at) },
          { name: "who", cell: action => action.by },
          { name: "what", class: "main", cell: action => words(action.what) },
          { name: "to", cell: action => target(action) },
          { name: "why", class: "error", cell: action => action.reason ?? h("span", { class: "soft" }, NOTHING) },
          {
            name: "what came of it",
            class: "error",
            cell: action => action.detail ?? h("span", { class: "soft" }, NOTHING),
          },
        ],
        known.actions,
        {
          key: action => action.id,
          caption: "Actions, newest first",
          empty: "Nobody has done anything yet.",
          row: () => ({ tabindex: "0" }),
        },
      ),
      pages(context.place.parameters, known.next),
    ],
  };
}

// What an action was done to, with a link where it has a page.
function target({ what, target }) {
  if (!target) return NOTHING;
  const links = {
    pause: to("queues", target),
    resume: to("queues", target),
    drain: to("workers", null, { id: target }),
    resume_worker: to("workers", null, { id: target }),
    cancel_workflow: to("workflows", target),
    retry_workflow: to("workflows", target),
  };
  // Which have no page.
  if (what.endsWith("_schedule")) return h("span", { class: "mono" }, target);
  return links[what] ? h("a", { class: "mono id", href: links[what] }, target) : subject(target);
}

/** The actions of one task, as a list. */
export const actionList = actions =>
  h(
    "ul",
    { class: "actions" },
    actions.map(action =>
      h(
        "li",
        { key: action.id },
        h("b", null, words(action.what)),
        h("span", null, ` by ${action.by} `),
        when(action.at),
        action.reason && h("span", { class: "soft" }, ` – ${action.reason}`),
        action.detail && h("span", { class: "soft block small" }, action.detail),
      ),
    ),
  );
