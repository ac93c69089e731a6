// What is wrong, as a sentence with its evidence and a link to where one can do something about it.
import { h } from "../lib/dom.js";
import { absolute, ago, count, duration, plural, rate, words } from "../lib/format.js";
import { to } from "../lib/route.js";
import { icon } from "./icon.js";
import { when } from "./time.js";

const workerLink = id => h("a", { class: "mono", href: to("workers", null, { id }) }, id);
const taskLink = id => h("a", { class: "mono", href: to("tasks", id) }, id);
const kindLink = kind => h("a", { href: to("tasks", null, { kind }) }, kind);
const queueLink = name => h("a", { href: to("queues", name) }, name);

// By name: `[what, evidence]`.
const TOLD = {
  lost_worker: f => [
    ["Worker ", workerLink(f.worker), " is lost"],
    [
      `Last heard of ${ago(f.seen)}. `,
      f.running?.length
        ? [
            "It was running ",
            f.running.map((run, at) => [at > 0 && ", ", taskLink(run.task), ` (${run.kind}, attempt ${run.attempt})`]),
            ".",
          ]
        : "It was running nothing.",
    ],
  ],
  not_consuming: f => [
    ["Worker ", workerLink(f.worker), " lives but takes no tasks"],
    [`Its last heartbeat, ${ago(f.seen)}, says that it does not consume.`],
  ],
  stuck_attempt: f => [
    ["Attempt ", String(f.attempt), " of ", taskLink(f.task), " is stuck"],
    [`It started ${ago(f.started)} on `, workerLink(f.worker), `, which should have ended it ${ago(f.limit)}.`],
  ],
  no_consumer: f => [
    ["Nobody consumes the queue ", queueLink(f.queue)],
    [`${plural(f.waiting, "task")} wait in it, and no worker takes from it.`],
  ],
  growing_queue: f => [
    ["The queue ", queueLink(f.queue), " grows faster than it drains"],
    [
      `From ${count(f.before)} to ${count(f.waiting)} tasks within ${duration(f.over_seconds * 1_000)}: `,
      `${rate(f.arrival_rate)} come in, ${rate(f.service_rate)} are taken.`,
    ],
  ],
  failure_rate: f => [
    [kindLink(f.kind), " fails more often than usual"],
    [
      `${count(f.failed)} of ${count(f.ended)} attempts failed of late: ${percent(f.share)}, usually ${percent(f.usual_share)}.`,
    ],
  ],
  slow_kind: f => [
    [kindLink(f.kind), " takes longer than usual"],
    [
      `95 % of ${count(f.ended)} attempts took up to ${duration(f.p95_ms)} of late, usually ${duration(f.usual_p95_ms)}.`,
    ],
  ],
};

const percent = share => `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`;

// What a newer monitor finds, or an older page does not know: all that it says.
function told(finding) {
  const known = TOLD[finding.finding];
  if (known) return known(finding);
  const { finding: name, since, text, summary, evidence, ...facts } = finding;
  const subject = facts.queue
    ? [" in ", queueLink(facts.queue)]
    : facts.worker
      ? [" on ", workerLink(facts.worker)]
      : null;
  return [
    [capital(words(name)), subject],
    [
      text ??
        summary ??
        evidence ??
        Object.entries(facts)
          .filter(([field, value]) => value !== null && value !== "" && !["queue", "worker"].includes(field))
          .map(fact),
    ],
  ];
}

const capital = text => text.charAt(0).toUpperCase() + text.slice(1);

function fact([name, value], at) {
  const told =
    name === "task"
      ? taskLink(value)
      : typeof value === "number" && name.endsWith("_ms")
        ? duration(value)
        : typeof value === "number" && name.endsWith("_seconds")
          ? duration(value * 1_000)
          : typeof value === "number" && name.endsWith("_rate")
            ? rate(value)
            : typeof value === "number"
              ? count(value)
              : typeof value === "string" && /^\d{4}-\d\d-\d\dT/.test(value)
                ? h("time", { title: absolute(value) }, ago(value))
                : typeof value === "object"
                  ? JSON.stringify(value)
                  : String(value);
  return [at > 0 && " · ", `${words(name.replace(/_(ms|seconds)$/, ""))} `, told];
}

/** All of them; a calm word if there are none. */
export function findings(all) {
  if (all.length === 0) return h("p", { class: "calm" }, icon("check"), "Nothing is wrong.");
  return h(
    "ul",
    { class: "findings", "aria-label": "What is wrong" },
    all.map(finding => {
      const [what, evidence] = told(finding);
      return h(
        "li",
        { key: [finding.finding, finding.worker, finding.queue, finding.kind, finding.task, finding.attempt].join() },
        icon("warning"),
        h("div", null, h("b", null, what), h("p", null, evidence)),
        h("span", { class: "soft" }, when(finding.since)),
      );
    }),
  );
}
