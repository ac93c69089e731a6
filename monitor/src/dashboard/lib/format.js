// Numbers and times as people read them, always with their unit.
import { now } from "./clock.js";

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });

/** What stands where nothing is known. */
export const NOTHING = "–";

const known = (value, say) => (value === null || value === undefined || Number.isNaN(value) ? NOTHING : say(value));

/** 1,234, or 1.23M. */
export const count = value => known(value, n => (Math.abs(n) < 100_000 ? whole.format(n) : short.format(n)));

/** An average of whole things: 3, or 3.4. */
export const average = value => known(value, n => (n < 10 && n % 1 >= 0.05 ? n.toFixed(1) : count(n)));

/** 1,234,567: all of it, for a title. */
export const exact = value => known(value, n => whole.format(n));

/** "1 task", "2 tasks". */
export const plural = (number, one, many = `${one}s`) => `${count(number)} ${number === 1 ? one : many}`;

const digits = n => (n >= 100 ? whole.format(n) : n >= 10 ? n.toFixed(1) : n.toFixed(2));

/** 12.3/s; what is rarer, by the minute. */
export const rate = value =>
  known(value, n => (n === 0 ? "0/s" : n < 0.1 ? `${digits(n * 60)}/min` : `${n >= 1_000 ? count(n) : digits(n)}/s`));

/** 12 ms, 1.2 s, 3 min 12 s, 2 h 05 min, 3 d 4 h. */
export const duration = value => known(value, span);

function span(ms) {
  if (ms < 1) return `${ms <= 0 ? 0 : ms.toFixed(1)} ms`;
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  const seconds = ms / 1_000;
  if (seconds < 59.95) return `${seconds < 10 ? seconds.toFixed(seconds % 1 === 0 ? 0 : 1) : Math.round(seconds)} s`;
  const two = n => String(n).padStart(2, "0");
  const s = Math.round(seconds);
  if (s < 3_600) return s % 60 ? `${Math.floor(s / 60)} min ${two(s % 60)} s` : `${s / 60} min`;
  const m = Math.round(s / 60);
  if (m < 1_440) return m % 60 ? `${Math.floor(m / 60)} h ${two(m % 60)} min` : `${m / 60} h`;
  const hours = Math.round(m / 60);
  return hours % 24 ? `${Math.floor(hours / 24)} d ${hours % 24} h` : `${hours / 24} d`;
}

/** The same in one unit: 150 ms, 9.6 s, 10.4 min. */
export const brief = value =>
  known(value, ms => {
    const units = [
      [86_400_000, "d"],
      [3_600_000, "h"],
      [60_000, "min"],
    ];
    const [size, unit] = units.find(([size]) => ms >= size) ?? [];
    return size ? `${Number((ms / size).toFixed(ms < 100 * size ? 1 : 0))} ${unit}` : span(ms);
  });

/** Rounded to its largest unit: for ages, which nobody needs by the second. */
function rough(ms) {
  const units = [
    [86_400_000, "d"],
    [3_600_000, "h"],
    [60_000, "min"],
    [1_000, "s"],
  ];
  const [size, unit] = units.find(([size]) => ms >= size) ?? [1_000, "s"];
  return `${Math.floor(ms / size)} ${unit}`;
}

/** "12 s ago", "in 3 min". */
export const ago = time =>
  known(time, t => {
    const distance = now() - Date.parse(t);
    if (Math.abs(distance) < 1_000) return "now";
    return distance > 0 ? `${rough(distance)} ago` : `in ${rough(-distance)}`;
  });

/** How long something has gone on. */
export const since = time =>
  known(time, t => {
    const ms = Math.max(0, now() - Date.parse(t));
    return ms < 60_000 ? `${Math.floor(ms / 1_000)} s` : span(Math.floor(ms / 1_000) * 1_000);
  });

const two = n => String(n).padStart(2, "0");

/** 2026-01-31 12:00:05.123, where the reader is. */
export const absolute = time =>
  known(time, t => {
    const at = new Date(t);
    return `${day(at)} ${clock(at)}.${String(at.getMilliseconds()).padStart(3, "0")}`;
  });

/** 2026-01-31 */
export const day = at => `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;

/** 12:00:05 */
export const clock = at => `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;

/** 1.2 MiB */
export const bytes = value =>
  known(value, n => {
    const units = ["B", "KiB", "MiB", "GiB", "TiB"];
    const power = Math.min(units.length - 1, n < 1 ? 0 : Math.floor(Math.log2(n) / 10));
    const scaled = n / 1024 ** power;
    return `${power === 0 || scaled >= 100 ? Math.round(scaled) : scaled.toFixed(1)} ${units[power]}`;
  });

/** attempts_exhausted → attempts exhausted */
export const words = name => known(name, n => String(n).replaceAll("_", " "));
