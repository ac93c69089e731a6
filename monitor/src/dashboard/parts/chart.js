// <warren-chart>: lines over time, with axes, units, the values under the pointer (or the arrow keys), and the same as a table.
// It is an element of its own because what the pointer is at is no business of the view around it.
import { h, patch } from "../lib/dom.js";
import { absolute, clock, day } from "../lib/format.js";
import { icon } from "./icon.js";
import { Grid, HEIGHT, MARGIN } from "./grid.js";

const DAY_SECONDS = 86_400;

class Chart extends HTMLElement {
  #data = null;
  #width = 0;
  #at = null;
  #tabular = false;
  #observer = new ResizeObserver(([entry]) => {
    const width = Math.floor(entry.contentRect.width);
    if (width === this.#width) return;
    this.#width = width;
    // Not within the observer: what it draws may change sizes again.
    requestAnimationFrame(() => this.#draw());
  });

  connectedCallback() {
    this.#observer.observe(this);
  }

  disconnectedCallback() {
    this.#observer.disconnect();
  }

  /** `{ title, at: [epoch s], lines: [{ name, tone, values, area? }], say(value), spans? }`; `spans`: times, from tiny to huge. */
  set data(data) {
    this.#data = data;
    this.#draw();
  }

  #draw() {
    const data = this.#data;
    if (!data) return;
    const last = data.at.length - 1;
    const index = this.#at === null ? null : Math.min(this.#at, last);
    patch(
      this,
      h(
        "figure",
        { class: "chart" },
        h("figcaption", null, h("h3", null, data.title), this.#switch(data), this.#caption(data, index)),
        this.#tabular ? tabular(data) : this.#width > 0 && this.#picture(data, index),
      ),
    );
  }

  #caption(data, index) {
    const shown = index ?? lastKnown(data);
    return h(
      "ul",
      { class: "legend", "aria-live": index === null ? "off" : "polite" },
      h("li", { class: "soft" }, index === null ? "" : moment(data, index)),
      data.lines.map(line =>
        h(
          "li",
          { key: line.name, class: `line-${line.tone}` },
          h("svg", { viewBox: "0 0 18 6", "aria-hidden": "true" }, h("path", { d: "M0 3h18", class: "line" })),
          h("span", null, line.name),
          h("b", null, data.say(line.values[shown])),
        ),
      ),
    );
  }

  #switch(data) {
    return h(
      "button",
      {
        type: "button",
        class: "button bare",
        "aria-pressed": String(this.#tabular),
        title: "Show as a table",
        "aria-label": `${data.title}: show as a table`,
        onclick: () => {
          this.#tabular = !this.#tabular;
          this.#draw();
        },
      },
      icon("table"),
    );
  }

  #picture(data, index) {
    const grid = new Grid(data, this.#width);
    const known = data.lines.some(line => line.values.some(value => value !== null));
    return h(
      "svg",
      {
        viewBox: `0 0 ${this.#width} ${HEIGHT}`,
        width: this.#width,
        height: HEIGHT,
        role: "img",
        tabindex: "0",
        "aria-label": summary(data),
        onkeydown: event => this.#step(event),
        onpointermove: event => this.#point(grid.index(event.offsetX)),
        onpointerleave: () => this.#point(null),
        onblur: () => this.#point(null),
      },
      grid
        .rows()
        .map(([value, y], at) =>
          h(
            "g",
            { key: `y${value}` },
            h("path", { d: `M${MARGIN.left} ${y}H${this.#width - MARGIN.right}`, class: at === 0 ? "axis" : "grid" }),
            h("text", { x: MARGIN.left - 6, y: y + 3.5, class: "tick end" }, tick(data.say(value))),
          ),
        ),
      grid
        .columns()
        .map(({ at, x, name }) =>
          h(
            "g",
            { key: `x${at}` },
            h("path", { d: `M${x} ${HEIGHT - MARGIN.bottom}v4`, class: "axis" }),
            h("text", { x, y: HEIGHT - 3, class: "tick middle" }, name),
          ),
        ),
      data.lines.map(line =>
        h(
          "g",
          { key: line.name, class: `line-${line.tone}` },
          line.area && h("path", { d: grid.area(line.values), class: "area" }),
          h("path", { d: grid.line(line.values), class: "line" }),
        ),
      ),
      !known &&
        h("text", { x: this.#width / 2, y: HEIGHT / 2, class: "tick middle" }, "nothing was measured in this time"),
      index !== null &&
        h(
          "g",
          { class: "pointer" },
          h("path", { d: `M${grid.x(index)} ${MARGIN.top}V${HEIGHT - MARGIN.bottom}` }),
          data.lines.map(
            line =>
              line.values[index] !== null &&
              line.values[index] !== undefined &&
              h("circle", {
                key: line.name,
                cx: grid.x(index),
                cy: grid.y(line.values[index]),
                r: 3,
                class: `line-${line.tone}`,
              }),
          ),
        ),
    );
  }

  #point(index) {
    if (index === this.#at) return;
    this.#at = index;
    this.#draw();
  }

  #step(event) {
    const last = this.#data.at.length - 1;
    const from = this.#at ?? last;
    const to = {
      ArrowLeft: from - 1,
      ArrowRight: this.#at === null ? last : from + 1,
      Home: 0,
      End: last,
      Escape: null,
    }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    this.#point(to === null ? null : Math.min(last, Math.max(0, to)));
  }
}

// 75.0/s and 5.00/s in the text are 75/s and 5/s at an axis.
const tick = text => text.replace(/\.0+(?=\D|$)|(?<=\.\d*[1-9])0+(?=\D|$)/, "");

const lastKnown = data =>
  Math.max(0, ...data.lines.map(line => line.values.findLastIndex(value => value !== null && value !== undefined)));

function moment(data, index) {
  const at = new Date(data.at[index] * 1_000);
  return data.at.at(-1) - data.at[0] > DAY_SECONDS ? `${day(at).slice(5)} ${clock(at).slice(0, 5)}` : clock(at);
}

const summary = data =>
  `${data.title}: ${data.lines.map(line => `${line.name} ${data.say(line.values[lastKnown(data)])}`).join(", ")}. Arrow keys show earlier values.`;

function tabular(data) {
  return h(
    "div",
    { class: "scroll tabular", tabindex: "0" },
    h(
      "table",
      null,
      h(
        "thead",
        null,
        h(
          "tr",
          null,
          h("th", { scope: "col" }, "time"),
          data.lines.map(line => h("th", { key: line.name, scope: "col" }, line.name)),
        ),
      ),
      h(
        "tbody",
        null,
        data.at
          .map((at, index) =>
            h(
              "tr",
              { key: at },
              h("th", { scope: "row", title: absolute(new Date(at * 1_000).toISOString()) }, moment(data, index)),
              data.lines.map(line => h("td", { key: line.name }, data.say(line.values[index]))),
            ),
          )
          .reverse(),
      ),
    ),
  );
}

customElements.define("warren-chart", Chart);

/** A chart; see `data` above. */
export const chart = data => h("warren-chart", { key: data.title, ".data": data });
