// The pool at a glance: what is wrong, on top; how it goes; over time.
import { find, get, path } from "../lib/api.js";
import { h } from "../lib/dom.js";
import { NOTHING, brief, count, exact, rate } from "../lib/format.js";
import { live } from "../lib/live.js";
import { to, turn } from "../lib/route.js";
import { findings } from "../parts/finding.js";
import { meter, slots } from "../parts/meter.js";
import { charts, keeper, range, ranges } from "../parts/series.js";
import { mark } from "../parts/state.js";
import { queueTable } from "./queues.js";

/** `#/` */
export function overview(context) {
  const keep = keeper(range => find(path("api/series", { range })));
  let series = null;
  let queues = [];
  return {
    title: "Overview",
    async load() {
      // Without the signal: the charts are kept, whichever look asked for them.
      [series] = await Promise.all([
        keep(range(context.place.parameters)),
        live.overview
          ? null
          : get("api/overview").then(known => {
              live.overview ??= known;
            }),
      ]);
      queues = live.overview.queues;
    },
    view() {
      const known = live.overview;
      return [
        findings(known.findings),
        figures(known),
        h(
          "section",
          { key: "time" },
          h(
            "div",
            { class: "head" },
            h("h2", null, "Over time"),
            ranges(range(context.place.parameters), chosen => turn({ range: chosen }, true)),
          ),
          series ? charts(series) : h("p", { class: "empty" }, "No figures over time are kept yet."),
        ),
        h(
          "section",
          { key: "queues" },
          h("div", { class: "head" }, h("h2", null, "Queues"), h("a", { href: to("queues") }, "All queues")),
          queueTable(busiest(queues), false),
        ),
      ];
    },
  };
}

const waiting = queue => queue.states.queued + queue.states.delayed + queue.states.running;

// Those where something happens; the rest is one click away.
const busiest = queues =>
  [...queues]
    .sort((a, b) => waiting(b) - waiting(a))
    .slice(0, 6)
    .sort((a, b) => a.queue.localeCompare(b.queue));

function figures(known) {
  const { states, rates, latency } = known;
  return h(
    "ul",
    { class: "figures", "aria-label": "At present" },
    figure(
      "running",
      "Running",
      count(states.running),
      [meter(known.busy, known.slots, slots(known)), h("span", null, slots(known))],
      to("tasks", null, { state: "running" }),
    ),
    figure(
      "queued",
      "Queued",
      count(states.queued),
      rates ? `${rate(rates.submitted)} come in` : "may start at once",
      to("tasks", null, { state: "queued" }),
    ),
    figure("delayed", "Delayed", count(states.delayed), "wait for their time", to("tasks", null, { state: "delayed" })),
    figure(
      "succeeded",
      "Done",
      rates ? rate(rates.succeeded) : count(states.succeeded),
      rates ? `${count(states.succeeded)} kept` : "kept",
      to("tasks", null, { state: "succeeded" }),
    ),
    figure(
      "warning",
      "Failed attempts",
      rates ? rate(rates.failed) : NOTHING,
      rates && rates.started > 0
        ? `${((100 * rates.failed) / rates.started).toFixed(1)} % of those started`
        : "in the last minute",
      to("dead"),
    ),
    figure(
      "dead",
      "Dead letters",
      count(states.dead),
      [
        h("span", null, `${exact(states.expired)} expired`),
        known.unroutable > 0 && h("span", null, `${exact(known.unroutable)} unroutable`),
      ],
      to("dead"),
    ),
    latency && figure(null, "Wait, p95", brief(latency.wait?.p95_ms), percentiles(latency.wait)),
    latency && figure(null, "Run, p95", brief(latency.run?.p95_ms), percentiles(latency.run)),
  );
}

const percentiles = of => [h("span", null, `p50 ${brief(of?.p50_ms)}`), h("span", null, `p99 ${brief(of?.p99_ms)}`)];

function figure(state, name, number, note, href) {
  const inside = [
    h("span", { class: "name" }, state && mark(state), name),
    h("b", null, number),
    h("small", null, note),
  ];
  return h("li", { key: name }, href ? h("a", { href }, inside) : h("div", null, inside));
}
