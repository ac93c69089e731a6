// What a list is narrowed to. It is all in the address: a link shows the same to somebody else.
import { h } from "../lib/dom.js";
import { live } from "../lib/live.js";
import { turn } from "../lib/route.js";
import { icon } from "./icon.js";
import { mark } from "./state.js";

// Another filter means another first page.
const narrow = (name, value) => turn({ [name]: value, cursor: null, page: null }, true);

/** States that can be switched on and off; none means all. */
export function states(parameters, possible) {
  const chosen = new Set((parameters.get("state") ?? "").split(",").filter(Boolean));
  const flip = state => {
    const next = new Set(chosen);
    if (!next.delete(state)) next.add(state);
    narrow("state", possible.filter(state => next.has(state)).join(","));
  };
  return h(
    "div",
    { class: "chips", role: "group", "aria-label": "States" },
    possible.map(state =>
      h(
        "button",
        {
          key: state,
          type: "button",
          class: "chip",
          "aria-pressed": String(chosen.has(state)),
          onclick: () => flip(state),
        },
        mark(state),
        state,
      ),
    ),
  );
}

const wide = matchMedia("(min-width: 761px)");

/** Fields: `[{ name, label, type, … }]`; a queue is chosen from those that exist. */
export function fields(parameters, wanted) {
  const used = wanted.filter(({ name }) => parameters.has(name)).length;
  // On a phone they are folded away, or one would see nothing but filters.
  return h(
    "details",
    { class: "narrow", open: wide.matches || wanted.length < 3 || used > 0 },
    h("summary", null, used ? `Filters (${used})` : "Filters"),
    h(
      "form",
      { class: "filters", onsubmit: event => event.preventDefault() },
      wanted.map(({ name, label, ...props }) =>
        h(
          "label",
          { key: name },
          h("span", null, label),
          name === "queue"
            ? queues(parameters.get("queue") ?? "")
            : h("input", {
                name,
                value: shown(parameters.get(name), props.type),
                autocomplete: "off",
                spellcheck: "false",
                ...props,
                // Not at each key: somebody who types a word does not want a list for each of its letters.
                onchange: event => narrow(name, told(event.target.value.trim(), props.type)),
              }),
        ),
      ),
      h(
        "button",
        {
          type: "button",
          class: "button bare",
          onclick: () =>
            turn(
              { ...Object.fromEntries(wanted.map(({ name }) => [name, null])), state: null, cursor: null, page: null },
              true,
            ),
        },
        icon("cancel"),
        "Clear",
      ),
    ),
  );
}

// The address speaks in UTC, the field in the reader's own time.
const told = (value, type) => (type === "datetime-local" && value ? new Date(value).toISOString() : value);

function shown(value, type) {
  if (!value || type !== "datetime-local") return value ?? "";
  const at = Date.parse(value);
  return Number.isNaN(at) ? "" : new Date(at - new Date(at).getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
}

function queues(chosen) {
  const known = (live.overview?.queues ?? []).map(queue => queue.queue);
  const all = known.includes(chosen) || !chosen ? known : [...known, chosen];
  return h(
    "select",
    { name: "queue", value: chosen, onchange: event => narrow("queue", event.target.value) },
    h("option", { value: "", selected: !chosen }, "any"),
    all.map(name => h("option", { key: name, value: name, selected: name === chosen }, name)),
  );
}

/** Whether anything is narrowed at all. */
export const narrowed = parameters => [...parameters.keys()].some(name => name !== "cursor" && name !== "page");
