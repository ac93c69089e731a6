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

/** Powers of ten around all values: where a thousandfold matters as much as a tenfold, as with latencies. */
export function powers(all) {
  const above = all.filter(value => value > 0);
  if (above.length === 0) return [1, 10, 100, 1_000];
  const low = Math.floor(Math.log10(Math.min(...above)));
  const high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(...above))));
  return Array.from({ length: high - low + 1 }, (_, n) => 10 ** (low + n));
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
