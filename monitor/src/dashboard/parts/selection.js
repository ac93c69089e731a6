// Rows that were chosen, and what can be done with them.
import { h } from "../lib/dom.js";
import { plural } from "../lib/format.js";
import { several } from "./actions.js";
import { icon } from "./icon.js";

/** What is chosen in one list. `redraw` shows a change. */
export class Selection {
  #ids = new Map();
  #redraw;

  constructor(redraw) {
    this.#redraw = redraw;
  }

  get size() {
    return this.#ids.size;
  }

  /** The box of one row; `state` says what can be done with it. */
  box(id, state) {
    return h("input", {
      type: "checkbox",
      "aria-label": `Select ${id}`,
      checked: this.#ids.has(id),
      onchange: event => {
        if (event.target.checked) this.#ids.set(id, state);
        else this.#ids.delete(id);
        this.#redraw();
      },
    });
  }

  /** The box of all rows. */
  all(rows) {
    const chosen = rows.filter(({ id }) => this.#ids.has(id)).length;
    return h("input", {
      type: "checkbox",
      "aria-label": "Select all that are shown",
      checked: chosen > 0 && chosen === rows.length,
      indeterminate: chosen > 0 && chosen < rows.length,
      onchange: event => {
        for (const { id, state } of rows) event.target.checked ? this.#ids.set(id, state) : this.#ids.delete(id);
        this.#redraw();
      },
    });
  }

  has(id) {
    return this.#ids.has(id);
  }

  clear() {
    this.#ids.clear();
    this.#redraw();
  }

  /** The bar with the buttons, while something is chosen. */
  bar() {
    if (this.size === 0) return null;
    const of = (...states) => [...this.#ids].filter(([, state]) => states.includes(state)).map(([id]) => id);
    const button = (action, name, shape, ids, tone = "") =>
      ids.length > 0 &&
      h(
        "button",
        {
          key: action,
          type: "button",
          class: `button ${tone}`,
          onclick: () => several(action, ids, () => this.clear()),
        },
        icon(shape),
        `${name} ${ids.length === this.size ? "" : ids.length}`.trim(),
      );
    return h(
      "div",
      { class: "selection", role: "toolbar", "aria-label": "With those selected", key: "selection" },
      h("b", null, `${plural(this.size, "task")} selected`),
      button("retry", "Retry", "retry", of("dead", "expired")),
      button("run_now", "Run now", "now", of("delayed")),
      button("cancel", "Cancel", "cancel", of("queued", "delayed", "running"), "danger"),
      button("discard", "Discard", "discard", of("dead", "expired"), "danger"),
      h("button", { type: "button", class: "button bare", onclick: () => this.clear() }, "Clear"),
    );
  }
}
