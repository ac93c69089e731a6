// A dead letter while it is being changed, before its replay.
import { h } from "../lib/dom.js";
import { icon } from "./icon.js";

/** The letter as it is, to be changed. */
export function draft({ kind, payload, headers, editable }) {
  // Warren's own notes are not for anybody to change.
  const own = Object.entries(headers ?? {}).filter(([name]) => !name.startsWith("warren-"));
  const rows = own.map(([name, value], number) => ({
    number,
    name,
    was: name,
    value: typeof value === "string" ? value : JSON.stringify(value),
  }));
  const bytes = !editable || payload?.text === undefined || payload.text === null;
  return { kind: kind ?? "", text: pretty(payload?.text ?? ""), bytes, rows };
}

function pretty(text) {
  try {
    return /\d{16}/.test(text) ? text : JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

/** The form. */
export function form(edited, redraw, leave, replay) {
  const add = () => {
    edited.rows.push({ number: edited.rows.length, name: "", was: null, value: "" });
    redraw();
  };
  const remove = row => {
    row.removed = true;
    redraw();
  };
  return h(
    "form",
    {
      class: "sheet pad draft",
      key: "draft",
      onsubmit: event => {
        event.preventDefault();
        replay();
      },
    },
    h(
      "label",
      { class: "field" },
      h("span", null, "Kind"),
      h("input", {
        class: "mono",
        value: edited.kind,
        oninput: event => {
          edited.kind = event.target.value.trim();
        },
      }),
    ),
    h("h3", null, "Payload"),
    edited.bytes
      ? h("p", { class: "soft" }, "It is no text, or too long to be changed here, and goes as it is.")
      : h("textarea", {
          rows: "12",
          class: "mono",
          spellcheck: "false",
          "aria-label": "Payload",
          value: edited.text,
          oninput: event => {
            edited.text = event.target.value;
            redraw();
          },
        }),
    !edited.bytes && h("p", { class: "small soft" }, isJson(edited.text) ? "JSON" : "Text that is no JSON"),
    h("h3", null, "Headers"),
    h(
      "ul",
      { class: "headers" },
      edited.rows
        .filter(row => !row.removed)
        .map(row =>
          h(
            "li",
            { key: row.number },
            h("input", {
              class: "mono",
              "aria-label": "Name",
              value: row.name,
              readonly: row.was !== null,
              oninput: event => {
                row.name = event.target.value;
              },
            }),
            h("input", {
              class: "mono",
              "aria-label": `Value of ${row.name || "the header"}`,
              value: row.value,
              oninput: event => {
                row.value = event.target.value;
              },
            }),
            h(
              "button",
              {
                type: "button",
                class: "button bare",
                "aria-label": `Remove ${row.name || "the header"}`,
                onclick: () => remove(row),
              },
              icon("cancel"),
            ),
          ),
        ),
    ),
    h(
      "div",
      { class: "buttons" },
      h("button", { type: "button", class: "button", onclick: add }, "Add a header"),
      h("button", { type: "button", class: "button", onclick: leave }, "Leave it as it is"),
      h("button", { type: "submit", class: "button primary" }, icon("retry"), "Replay changed…"),
    ),
  );
}

function isJson(text) {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** What differs from the letter, as the API wants it: `{ kind?, payload?, headers? }`. */
export function change({ kind, payload, headers }, edited) {
  const changed = {};
  if (edited.kind && edited.kind !== (kind ?? "")) changed.kind = edited.kind;
  // As text, not as JSON: its numbers go as they are written.
  if (!edited.bytes && edited.text !== pretty(payload?.text ?? "")) changed.payload = { text: edited.text };
  const differing = {};
  for (const { name, was, value, removed } of edited.rows) {
    if (removed) {
      if (was !== null) differing[was] = null;
    } else if (name && (was === null || value !== shown(headers[was]))) differing[name] = typed(value, headers?.[was]);
  }
  if (Object.keys(differing).length) changed.headers = differing;
  return changed;
}

const shown = value => (typeof value === "string" ? value : JSON.stringify(value));

// A header that was a number stays one.
const typed = (value, before) =>
  typeof before === "string" || before === undefined || !isJson(value) ? value : JSON.parse(value);
