// The keys of the page.
import { h } from "../lib/dom.js";
import { go } from "../lib/route.js";
import { ask } from "./dialog.js";

const PLACES = { o: "overview", q: "queues", w: "workers", t: "tasks", s: "schedules", f: "workflows", d: "dead", a: "audit" };
const KEYS = [
  [["/"], "search tasks"],
  [["g", "o"], "overview"],
  [["g", "q"], "queues"],
  [["g", "w"], "workers"],
  [["g", "t"], "tasks"],
  [["g", "s"], "schedules"],
  [["g", "f"], "workflows"],
  [["g", "d"], "dead letters"],
  [["g", "a"], "audit trail"],
  [["j"], "next row"],
  [["k"], "row before"],
  [["Enter"], "open the row"],
  [["x"], "select the row"],
  [["←", "→"], "values of a chart, once it has the focus"],
  [["Esc"], "close, or leave a field"],
  [["?"], "these keys"],
];

// After g the next key is a place, if it comes soon.
const SOON_MS = 1_500;
let went = 0;

/** Listens to them. */
export function listen() {
  document.addEventListener("keydown", event => {
    const typing = event.target.closest("input, textarea, select");
    if (event.key === "Escape" && typing && !event.target.closest("dialog")) event.target.blur();
    if (typing || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    if (act(event)) event.preventDefault();
  });
}

function act({ key, target }) {
  if (Date.now() - went < SOON_MS && PLACES[key]) {
    went = 0;
    go(PLACES[key]);
    return true;
  }
  switch (key) {
    case "g":
      went = Date.now();
      return true;
    case "/":
      document.getElementById("search").focus();
      return true;
    case "?":
      help();
      return true;
    case "j":
      return step(1);
    case "k":
      return step(-1);
    case "x":
      return press(target, "input[type=checkbox]");
    case "Enter":
      return target.tagName === "TR" && press(target, "a");
    default:
      return false;
  }
}

function step(by) {
  const rows = [...document.querySelectorAll("tbody > tr[tabindex]")];
  const at = rows.indexOf(document.activeElement.closest("tr"));
  const row = rows[at < 0 ? 0 : at + by];
  row?.focus();
  return Boolean(row);
}

function press(target, selector) {
  const found = target.closest("tr")?.querySelector(selector);
  found?.click();
  return Boolean(found);
}

/** Shows what the keys are. */
export function help() {
  ask({
    title: "Keys",
    reason: false,
    act: () => {},
    text: h(
      "dl",
      { class: "keys" },
      KEYS.map(([keys, meaning]) =>
        h(
          "div",
          { key: meaning },
          h(
            "dt",
            null,
            keys.map(key => h("kbd", { key }, key)),
          ),
          h("dd", null, meaning),
        ),
      ),
    ),
  });
}
