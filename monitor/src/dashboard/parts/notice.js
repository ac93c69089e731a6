// Short notices at the edge of the page, read aloud and gone by themselves; what went wrong stays until it is closed.
import { h, patch } from "../lib/dom.js";
import { icon } from "./icon.js";

const SHOWN_MS = 5_000;
// Outside of what a refresh draws anew; and there from the start, or the first notice would not be read aloud.
const list = document.createElement("ul");
list.className = "notices";
list.setAttribute("role", "status");
document.body.append(list);

let notices = [];
let number = 0;

/** Says something. `tone`: good or bad. */
export function notice(text, tone = "good") {
  const note = { number: number++, text, tone };
  notices = [...notices.slice(-3), note];
  if (tone !== "bad") setTimeout(() => close(note), SHOWN_MS);
  draw();
}

function close(note) {
  notices = notices.filter(other => other !== note);
  draw();
}

function draw() {
  patch(
    list,
    notices.map(note =>
      h(
        "li",
        { key: note.number, class: `notice ${note.tone}` },
        icon(note.tone === "bad" ? "warning" : "check"),
        h("span", null, note.text),
        h(
          "button",
          { type: "button", class: "button bare", "aria-label": "Close", onclick: () => close(note) },
          icon("cancel"),
        ),
      ),
    ),
  );
}
