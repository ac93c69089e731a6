// The workers: how they are, how busy, and what they run.
import { get } from "../lib/api.js";
import { h } from "../lib/dom.js";
import { NOTHING, bytes, count, exact } from "../lib/format.js";
import { to, turn } from "../lib/route.js";
import { worker as act } from "../parts/actions.js";
import { copyButton } from "../parts/copy.js";
import { icon } from "../parts/icon.js";
import { meter, slots } from "../parts/meter.js";
import { state } from "../parts/state.js";
import { facts, table } from "../parts/table.js";
import { lasting, when } from "../parts/time.js";

// Those that someone should look at come first.
const ORDER = ["lost", "not_consuming", "draining", "alive", "stopped"];
const SHOWN_RUNNING = 6;

/** `#/workers`, with `id` for a single one and `gone` for those that have stopped. */
export function workers(context) {
  let known = [];
  return {
    title: "Workers",
    async load(signal) {
      ({ workers: known } = await get("api/workers", signal));
      known.sort((a, b) => ORDER.indexOf(a.health) - ORDER.indexOf(b.health) || a.id.localeCompare(b.id));
    },
    view() {
      const { parameters } = context.place;
      const id = parameters.get("id");
      const gone = parameters.has("gone");
      const stopped = known.filter(worker => worker.health === "stopped");
      const shown = known.filter(worker => (id ? worker.id === id : gone || worker.health !== "stopped"));
      return [
        h(
          "div",
          { class: "head" },
          h(
            "h2",
            null,
            id
              ? [
                  h(
                    "a",
                    { class: "back", href: to("workers"), title: "All workers" },
                    icon("back"),
                    h("span", { class: "hidden" }, "All workers"),
                  ),
                  h("span", { class: "mono" }, id),
                ]
              : "Workers",
          ),
          !id &&
            stopped.length > 0 &&
            h(
              "button",
              {
                type: "button",
                class: "button",
                "aria-pressed": String(gone),
                onclick: () => turn({ gone: gone ? null : "1" }, true),
              },
              `${count(stopped.length)} stopped`,
            ),
        ),
        table(columns(), shown, {
          key: worker => worker.id,
          caption: "Workers",
          empty: id ? "This worker is not known any more." : "No worker is there. Start one: warren-worker run",
          row: () => ({ tabindex: "0" }),
        }),
        id && shown[0] && details(shown[0]),
      ];
    },
  };
}

const columns = () => [
  {
    name: "worker",
    class: "main",
    cell: worker => [
      h("a", { class: "mono", href: to("workers", null, { id: worker.id }) }, worker.id),
      h("span", { class: "soft small block" }, `${worker.host ?? NOTHING}, process ${worker.pid ?? NOTHING}`),
    ],
  },
  {
    name: "health",
    cell: worker => [
      state(worker.health, worker.draining_by ? told(worker.draining_by) : undefined),
      h("span", { class: "soft small block" }, lastWord(worker)),
    ],
  },
  {
    name: "slots",
    class: "wide",
    cell: worker => [
      meter(worker.busy, worker.slots ?? 0, slots(worker)),
      h("span", { class: "number" }, `${Math.min(worker.busy, worker.slots ?? worker.busy)} / ${worker.slots ?? "?"}`),
    ],
  },
  { name: "runs now", class: "runs", cell: running },
  { name: "ended", class: "number", title: worker => exact(worker.ended), cell: worker => count(worker.ended) },
  { name: "load", class: "number spare", cell: worker => (worker.load === null ? NOTHING : worker.load.toFixed(2)) },
  { name: "memory", class: "number spare", cell: worker => bytes(worker.memory) },
  { name: "up", class: "number", cell: worker => lasting(worker.started) },
  { name: "version", class: "spare", cell: worker => worker.version ?? NOTHING },
  { name: "", label: "", class: "acts", cell: button },
];

const lastWord = worker =>
  worker.health === "stopped" ? ["ended ", when(worker.stopped)] : ["heartbeat ", when(worker.seen)];
const told = ({ by, reason }) => `drained by ${by}${reason ? `: ${reason}` : ""}`;

function running(worker) {
  if (worker.running.length === 0) return h("span", { class: "soft" }, NOTHING);
  const more = worker.running.length - SHOWN_RUNNING;
  return h(
    "ul",
    { class: "running" },
    worker.running
      .slice(0, SHOWN_RUNNING)
      .map(run =>
        h(
          "li",
          { key: run.task },
          h("a", { href: to("tasks", run.task), title: `${run.task}, attempt ${run.attempt}` }, run.kind),
          h("span", { class: "soft" }, " for ", lasting(run.since)),
        ),
      ),
    more > 0 &&
      h(
        "li",
        { key: "more", class: "soft" },
        h("a", { href: to("tasks", null, { worker: worker.id, state: "running" }) }, `${count(more)} more`),
      ),
  );
}

function button(worker) {
  if (worker.health === "stopped" || worker.health === "lost") return null;
  return worker.draining_by
    ? h("button", { type: "button", class: "button", onclick: () => act.resume(worker.id) }, icon("play"), "Resume")
    : worker.health !== "draining" &&
        h("button", { type: "button", class: "button", onclick: () => act.drain(worker.id) }, icon("drain"), "Drain");
}

const details = worker =>
  h(
    "div",
    { class: "sheet pad" },
    facts([
      ["Id", [h("span", { class: "mono" }, worker.id), copyButton(worker.id, "the id")]],
      [
        "Queues, with weights",
        Object.entries(worker.queues).map(([queue, weight], at) => [
          at > 0 && ", ",
          h("a", { href: to("queues", queue) }, queue),
          ` × ${weight}`,
        ]),
      ],
      ["Kinds", worker.kinds.join(", ")],
      ["Draining", worker.draining_by && told(worker.draining_by)],
      ["Version", worker.version],
      ["Load of its machine", worker.load?.toFixed(2)],
      ["Memory", worker.memory === null ? null : bytes(worker.memory)],
      ["Started", when(worker.started)],
      ["Last heartbeat", when(worker.last_heartbeat)],
      ["Stopped", worker.stopped && when(worker.stopped)],
      ["Its tasks", h("a", { href: to("tasks", null, { worker: worker.id }) }, "all that it has run")],
    ]),
  );
