// Where the lines of a chart's grid lie: at round numbers, and at round times.
import { clock, day } from "../lib/format.js";

/** Round values from 0 to at least `largest`, some four of them. */
export function values(largest) {
  const top = largest > 0 ? largest : 1;
  const step = round(top / 4);
  return Array.from({ length: Math.ceil(top / step - 1e-9) + 1 }, (_, n) => n * step);
}

function round(step) {
  const power = 10 ** Math.floor(Math.log10(step));
  return [1, 2, 2.5, 5, 10].map(n => n * power).find(n => n >= step - 1e-12);
}

// Each some ten times the one before, and round to whoever thinks in minutes and hours.
const SPANS = [
  0.01, 0.1, 1, 10, 100, 1_000, 10_000, 60_000, 600_000, 3_600_000, 36_000_000, 864_000_000, 8_640_000_000,
];

/** Spans of time in ms around all values: of latencies a thousandfold matters as much as a tenfold. */
export function spans(all) {
  const above = all.filter(value => value > 0);
  if (above.length === 0) return SPANS.slice(2, 6);
  const low = SPANS.findLastIndex(span => span <= Math.min(...above));
  const high = SPANS.findIndex(span => span >= Math.max(...above));
  const from = Math.max(0, low);
  return SPANS.slice(from, Math.max(from + 1, high < 0 ? SPANS.length - 1 : high) + 1);
}

const TIMES = [60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400, 172_800];

/** Times between two, in epoch seconds, round where the reader is, at most `most` of them, with their names. */
export function times(from, to, most) {
  const step = TIMES.find(step => (to - from) / step <= most) ?? TIMES.at(-1);
  const offset = new Date(from * 1_000).getTimezoneOffset() * 60;
  const ticks = [];
  for (let at = Math.ceil((from - offset) / step) * step + offset; at <= to; at += step) {
    const date = new Date(at * 1_000);
    ticks.push({ at, name: step >= 86_400 ? day(date).slice(5) : clock(date).slice(0, 5) });
  }
  return ticks;
}
