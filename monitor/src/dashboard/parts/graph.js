// The picture of a workflow: its steps in layers, each behind what it waits for. Where a layer is too wide, its steps are folded
// by what they are; where many layers in a row say the same, they are folded into one. So a picture of thousands of steps stays
// one that can be looked at.
import { h } from "../lib/dom.js";
import { exact, words } from "../lib/format.js";
import { to } from "../lib/route.js";
import { mark, tone } from "./state.js";

const ROWS = 10; // of a layer
const COLUMNS = 24; // beyond that, layers are folded
const WIDTH = 168;
const HEIGHT = 32;
const BETWEEN = { x: 44, y: 12 };
const LINES = 3_000;

// What is looked for first comes first.
const ORDER = ["failed", "running", "delayed", "queued", "stopped", "cancelled", "skipped", "waiting", "succeeded"];

/** The picture. `chosen` is called with what a fold stands for: `{ layer, state }`, where the steps are listed. */
export function graph(steps, chosen) {
  const columns = foldColumns(layers(steps).map(foldRows));
  const rows = Math.max(...columns.map(cells => cells.length));
  const size = { x: columns.length * (WIDTH + BETWEEN.x) - BETWEEN.x, y: rows * (HEIGHT + BETWEEN.y) - BETWEEN.y };
  const places = new Map();
  columns.forEach((cells, column) => {
    const top = (size.y - (cells.length * (HEIGHT + BETWEEN.y) - BETWEEN.y)) / 2;
    cells.forEach((cell, row) => {
      cell.x = column * (WIDTH + BETWEEN.x);
      cell.y = top + row * (HEIGHT + BETWEEN.y);
      for (const index of cell.members) places.set(index, cell);
    });
  });
  return h(
    "div",
    { class: "graph sheet", tabindex: "0", role: "region", "aria-label": "The steps, from left to right" },
    h(
      "svg",
      { viewBox: `-4 -4 ${size.x + 8} ${size.y + 8}`, width: size.x + 8, height: size.y + 8 },
      h("g", { key: "lines", class: "lines", "aria-hidden": "true" }, lines(steps, places)),
      columns.flat().map(cell => box(cell, steps, chosen)),
    ),
  );
}

function layers(steps) {
  const layers = [];
  steps.forEach((step, index) => (layers[step.layer] ??= []).push(index));
  return layers.filter(Boolean).map(indexes => indexes.map(index => ({ members: [index], state: steps[index].state })).map(cell => ({ ...cell, layer: steps[cell.members[0]].layer })));
}

// One cell for each state, where there are too many.
function foldRows(cells) {
  if (cells.length <= ROWS) return cells;
  const folds = new Map();
  for (const { members, state, layer } of cells) {
    const fold = folds.get(state) ?? { members: [], state, layer };
    fold.members.push(...members);
    folds.set(state, fold);
  }
  return [...folds.values()].sort((a, b) => ORDER.indexOf(a.state) - ORDER.indexOf(b.state));
}

// One column for layers that look alike, where there are too many.
function foldColumns(columns) {
  if (columns.length <= COLUMNS) return columns;
  const alike = cells => cells.map(({ state, members }) => `${state} ${members.length > 1}`).join();
  const folded = [];
  for (const cells of columns) {
    const last = folded.at(-1);
    if (!last || last.alike !== alike(cells)) {
      folded.push({ alike: alike(cells), run: [cells] });
    } else {
      last.run.push(cells);
    }
  }
  return folded.flatMap(({ run }) => {
    if (run.length <= 3) return run;
    const middle = run[1].map(({ state }, row) => {
      const members = run.slice(1, -1).flatMap(cells => cells[row].members);
      return { members, state, layer: null, layers: run.length - 2 };
    });
    return [run[0], middle, run.at(-1)];
  });
}

function lines(steps, places) {
  const drawn = new Map();
  const draw = (from, to, gentle) => {
    if (from && to && from !== to && from.x < to.x && drawn.size < LINES) {
      const key = `${from.x},${from.y} ${to.x},${to.y}`;
      drawn.set(key, { from, to, gentle: gentle && (drawn.get(key)?.gentle ?? true) });
    }
  };
  steps.forEach((step, index) => {
    for (const before of step.after) draw(places.get(before), places.get(index), step.on_failure[before] !== undefined);
    // What a workflow within begins with stands behind it.
    if (step.within !== null && step.after.length === 0) draw(places.get(step.within), places.get(index), false);
  });
  return [...drawn].map(([key, { from, to, gentle }]) => {
    const [x, y] = [from.x + WIDTH, from.y + HEIGHT / 2];
    const [across, down] = [to.x, to.y + HEIGHT / 2];
    const bend = BETWEEN.x / 2;
    return h("path", {
      key,
      class: gentle ? "line gentle" : "line",
      d: `M${x} ${y}C${x + bend} ${y} ${across - bend} ${down} ${across} ${down}`,
    });
  });
}

function box(cell, steps, chosen) {
  const { x, y, members, state, layer } = cell;
  const first = steps[members[0]];
  const single = members.length === 1;
  const chunks = single && first.chunks ? ` ${exact(first.chunks_over)}/${exact(first.chunks)}` : "";
  const name = single ? first.step.split("/").at(-1) : cell.layers ? `${exact(cell.layers)} layers` : `${exact(members.length)} steps`;
  const told = single ? `${first.step}: ${words(state)}${chunks}` : `${exact(members.length)} steps: ${words(state)}`;
  const inside = [
    h("title", null, single && first.error ? `${told}: ${first.error}` : told),
    h("rect", { width: WIDTH, height: HEIGHT, rx: 7, class: single ? "box" : "box fold" }),
    h("g", { transform: "translate(10 10)", class: `mark tone-${tone(state)}` }, mark(state).children),
    h("text", { x: 29, y: 20.5 }, shorten(name + chunks)),
  ];
  const props = { key: single ? first.step : `fold ${x} ${y}`, class: `step tone-${tone(state)}`, transform: `translate(${x} ${y})` };
  if (single && first.task) return h("a", { ...props, href: to("tasks", first.task), "aria-label": told }, inside);
  if (single) return h("g", { ...props, role: "img", "aria-label": told }, inside);
  const choose = event => {
    event.preventDefault();
    chosen({ layer, state });
  };
  return h("a", { ...props, href: "#", "aria-label": `${told}: list them`, onclick: choose }, inside);
}

const LONGEST = 19;
const shorten = text => (text.length > LONGEST ? `${text.slice(0, LONGEST - 1)}…` : text);
