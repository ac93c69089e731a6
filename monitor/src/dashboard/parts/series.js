// The charts of a pool, or of one queue, from what `/api/series` says.
import { h } from "../lib/dom.js";
import { average, brief, rate } from "../lib/format.js";
import { live } from "../lib/live.js";
import { now } from "../lib/clock.js";
import { chart } from "./chart.js";

/** How far back one can look. */
export const RANGES = [
  ["15m", "15 min"],
  ["6h", "6 h"],
  ["7d", "7 d"],
];

/** All of them. */
export function charts(data) {
  // A step that goes on still has not all its counts: it would look like a fall.
  const whole = data.at.length - (data.at.length && (data.at.at(-1) + data.step_seconds) * 1_000 > now() ? 1 : 0);
  const at = data.at.slice(0, whole);
  const values = name => (data.series[name] ?? []).slice(0, whole);
  const line = (name, tone, label = name, area = false) => ({ name: label, tone, area, values: values(name) });
  const perSecond = (name, tone, label, area) => ({
    ...line(name, tone, label, area),
    values: values(name).map(n => (n === null ? null : n / data.step_seconds)),
  });
  const latency = (title, of) => ({
    title,
    at,
    say: brief,
    spans: true,
    lines: [line(`${of}_p50_ms`, "a", "p50"), line(`${of}_p95_ms`, "b", "p95"), line(`${of}_p99_ms`, "c", "p99")],
  });
  return h(
    "div",
    { class: "charts" },
    [
      {
        title: "Throughput",
        at,
        say: rate,
        lines: [perSecond("submitted", "a", "in"), perSecond("succeeded", "succeeded", "done", true)],
      },
      {
        title: "Depth",
        at,
        say: average,
        lines: [line("queued", "queued", "queued", true), line("delayed", "delayed")],
      },
      {
        title: "Running",
        at,
        say: average,
        lines: [line("running", "running", "running", true), ...(data.series.workers ? [line("workers", "c")] : [])],
      },
      {
        title: "Failures",
        at,
        say: rate,
        lines: [perSecond("failed", "expired", "failed attempts", true), perSecond("dead", "dead", "dead")],
      },
      latency("Wait before the start", "wait"),
      latency("Run", "run"),
    ].map(chart),
  );
}

/** The switch between the ranges. */
export const ranges = (chosen, choose) =>
  h(
    "div",
    { class: "switch", role: "group", "aria-label": "Time shown" },
    RANGES.map(([range, name]) =>
      h(
        "button",
        { key: range, type: "button", "aria-pressed": String(chosen === range), onclick: () => choose(range) },
        name,
      ),
    ),
  );

/** A range that exists. */
export const range = parameters =>
  RANGES.some(([name]) => name === parameters.get("range")) ? parameters.get("range") : "15m";

// How often each is worth asking for, in ms.
const FRESH_MS = { "15m": 4_000, "6h": 20_000, "7d": 120_000 };

/** Asks for the series, but not more often than it changes. `ask(range)` gives the answer. */
export function keeper(ask) {
  let kept = null;
  return async range => {
    if (kept?.range !== range || Date.now() - kept.at > FRESH_MS[range] || live.lost !== null)
      kept = { range, at: Date.now(), data: await ask(range) };
    return kept.data;
  };
}
