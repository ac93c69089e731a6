// From data to places in the picture of a chart.
import { spans, times, values } from "./scale.js";

/** How high a picture is, and what is left around it for the names of its grid. */
export const HEIGHT = 150;
export const MARGIN = { top: 8, right: 4, bottom: 20, left: 46 };

/** The grid of one chart at this width. */
export class Grid {
  constructor(data, width) {
    const all = data.lines.flatMap(line => line.values.filter(value => value !== null));
    this.ticks = data.spans ? spans(all) : values(Math.max(0, ...all));
    this.scale = data.spans ? Math.log10 : value => value;
    this.at = data.at;
    this.width = width - MARGIN.left - MARGIN.right;
    this.height = HEIGHT - MARGIN.top - MARGIN.bottom;
  }

  x(index) {
    return +(MARGIN.left + (index / Math.max(1, this.at.length - 1)) * this.width).toFixed(1);
  }

  y(value) {
    const [low, high] = [this.scale(this.ticks[0]), this.scale(this.ticks.at(-1))];
    const share = Math.max(0, (this.scale(value) - low) / (high - low));
    return +(MARGIN.top + (1 - share) * this.height).toFixed(1);
  }

  index(x) {
    const share = (x - MARGIN.left) / this.width;
    return Math.round(Math.min(1, Math.max(0, share)) * (this.at.length - 1));
  }

  rows() {
    return this.ticks.map(value => [value, this.y(value)]);
  }

  columns() {
    if (this.at.length < 2) return [];
    const [from, to] = [this.at[0], this.at.at(-1)];
    const place = at => +(MARGIN.left + ((at - from) / (to - from)) * this.width).toFixed(1);
    // What would be cut off at the edges is left out.
    return times(from, to, Math.max(2, Math.floor(this.width / 64)))
      .map(tick => ({ ...tick, x: place(tick.at) }))
      .filter(({ x }) => x > MARGIN.left + 14 && x < MARGIN.left + this.width - 12);
  }

  /** Where nothing is known there is a gap. */
  line(all) {
    return runs(all)
      .map(run =>
        run.length === 1
          ? `M${this.x(run[0]) - 1} ${this.y(all[run[0]])}h2`
          : `M${run.map(index => `${this.x(index)} ${this.y(all[index])}`).join("L")}`,
      )
      .join("");
  }

  area(all) {
    return runs(all)
      .map(
        run =>
          `M${this.x(run[0])} ${this.y(this.ticks[0])}L${run.map(index => `${this.x(index)} ${this.y(all[index])}`).join("L")}L${this.x(run.at(-1))} ${this.y(this.ticks[0])}Z`,
      )
      .join("");
  }
}

function runs(all) {
  const found = [];
  all.forEach((value, index) => {
    if (value === null || value === undefined) return;
    if (found.at(-1)?.at(-1) === index - 1) found.at(-1).push(index);
    else found.push([index]);
  });
  return found;
}
