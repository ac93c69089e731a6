// Why a task is not running: its place, the estimate, what holds it, worker by worker.
import { h } from "../lib/dom.js";
import { count, duration, rate, words } from "../lib/format.js";
import { to } from "../lib/route.js";
import { icon } from "./icon.js";
import { facts } from "./table.js";
import { lasting } from "./time.js";

const SHAPES = {
  delayed: "schedules",
  paused: "pause",
  in_turn: "queues",
  ahead: "queues",
  no_consumer: "warning",
  no_worker_for_kind: "warning",
  no_free_slot: "workers",
  broker_backlog: "queues",
  cancelled: "cancel",
  overdue: "warning",
  no_worker: "warning",
  no_worker_for_queue: "warning",
  expires: "schedules",
};

/** The panel; nothing while it is not known. */
export function waiting(why) {
  if (!why || !why.waiting) return null;
  return h(
    "section",
    { class: "sheet pad why", key: "why" },
    h("h3", null, "Why is it waiting?"),
    h("p", { class: "summary" }, why.summary),
    facts([
      ["Ahead of it", why.ahead !== null && why.ahead !== undefined ? count(why.ahead) : null],
      ["Leave the queue", why.service_rate !== null && why.service_rate !== undefined ? rate(why.service_rate) : null],
      [
        "Likely to start in",
        why.estimate_seconds !== null && why.estimate_seconds !== undefined
          ? duration(why.estimate_seconds * 1_000)
          : null,
      ],
    ]),
    h(
      "ul",
      { class: "reasons" },
      why.reasons.map((reason, at) =>
        h(
          "li",
          { key: `${reason.code} ${at}` },
          icon(SHAPES[reason.code] ?? "queues"),
          h(
            "div",
            null,
            h("b", null, words(reason.code)),
            h("span", null, ` ${reason.text}`),
            reason.since && h("span", { class: "soft" }, " for ", lasting(reason.since)),
          ),
        ),
      ),
    ),
    why.workers.length > 0 &&
      h(
        "details",
        { open: why.workers.length <= 6 },
        h(
          "summary",
          null,
          `Worker by worker (${why.workers.filter(worker => worker.can_run).length} of ${why.workers.length} could run it)`,
        ),
        h(
          "ul",
          { class: "workers-why" },
          why.workers.map(worker =>
            h(
              "li",
              { key: worker.worker, class: worker.can_run ? "tone-succeeded" : "tone-cancelled" },
              icon(worker.can_run ? "check" : "cancel"),
              h("a", { class: "mono", href: to("workers", null, { id: worker.worker }) }, worker.worker),
              h("span", { class: "soft" }, worker.because),
            ),
          ),
        ),
      ),
  );
}
