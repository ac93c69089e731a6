// The life of a task, drawn: what it waited for, and every attempt.
import { h } from "../lib/dom.js";
import { absolute, duration } from "../lib/format.js";
import { now } from "../lib/clock.js";
import { to } from "../lib/route.js";
import { meter } from "./meter.js";
import { state, tone } from "./state.js";
import { when } from "./time.js";

/** Waits and runs in their order: `[{ what, from, to, name, … }]`. A wait ends where a run begins. */
export function stretches(task) {
  const found = [];
  const time = text => (text ? Date.parse(text) : null);
  let from = time(task.submitted);
  const wait = (until, due, queued) => {
    if (from === null || until <= from) return;
    // Up to its time it was delayed; from then on it waited for a slot.
    const released = Math.min(until, Math.max(from, time(queued) ?? time(due) ?? from));
    if (released > from) found.push({ what: "wait", name: "delayed", from, to: released });
    if (until > released) found.push({ what: "wait", name: "queued", from: released, to: until });
  };
  // Between its death and its replay it lay among the dead letters.
  const rest = number => {
    const replay = task.replays?.find(replay => replay.attempt === number);
    if (!replay || from === null) return;
    found.push({ what: "wait", name: "dead", from, to: Math.max(from, time(replay.at)), replay });
    from = found.at(-1).to;
  };
  for (const attempt of task.attempts) {
    const start = time(attempt.start);
    rest(attempt.number);
    wait(start, attempt.due, attempt.queued);
    const end = time(attempt.end ?? attempt.returned);
    const name = attempt.outcome ?? (attempt.returned ? "returned" : task.state === "running" ? "running" : "lost");
    found.push({
      what: "run",
      name,
      from: start,
      to: end ?? (name === "running" ? Math.max(now(), start) : start),
      open: !end,
      attempt,
    });
    from = end;
  }
  rest((task.attempts.at(-1)?.number ?? 0) + 1);
  const waits = task.state === "queued" || task.state === "delayed";
  if (waits) wait(Math.max(now(), from ?? 0), task.due, null);
  return found;
}

// Minutes of waiting beside milliseconds of running: on a true scale one would see only the waits.
const width = stretch => Math.max(1, Math.sqrt(Math.max(0, stretch.to - stretch.from)));

/** The bar on top: everything in one line. */
export function bar(all) {
  if (all.length === 0) return null;
  return h(
    "div",
    { class: "lifeline", role: "img", "aria-label": all.map(says).join(", then ") },
    all.map((stretch, at) =>
      h("span", {
        key: at,
        class: `stretch ${stretch.what} tone-${tone(stretch.name)}`,
        title: says(stretch),
        style: { "flex-grow": width(stretch).toFixed(1) },
      }),
    ),
  );
}

const says = ({ what, name, from, to, attempt }) =>
  what === "wait"
    ? `${name} for ${duration(to - from)}`
    : `attempt ${attempt.number}: ${name} after ${duration(to - from)}`;

/** The list below: each stretch with what is known of it. */
export function life(task, all) {
  return h(
    "ol",
    { class: "life" },
    task.submitted &&
      h(
        "li",
        { key: "submitted", class: "point" },
        h(
          "div",
          { class: "what" },
          h("b", null, "Submitted"),
          task.app && h("span", { class: "soft" }, ` by ${task.app}`),
        ),
        h("div", { class: "at" }, when(task.submitted)),
      ),
    all.map((stretch, at) => (stretch.what === "wait" ? waited(stretch, at) : attempted(stretch, task))),
  );
}

const WAITED = { delayed: "waited for its time", queued: "waited in the queue", dead: "lay among the dead letters" };

const waited = ({ name, from, to: until, replay }, at) =>
  h(
    "li",
    { key: `wait ${at}`, class: `wait tone-${tone(name)}` },
    h(
      "div",
      { class: "what soft" },
      WAITED[name],
      replay && h("p", null, h("b", null, `Replayed by ${replay.by}`), replay.reason && `: ${replay.reason}`),
    ),
    h("div", { class: "at number", title: `${absolute(from)} to ${absolute(until)}` }, duration(until - from)),
  );

function attempted({ name, from, to: until, open, attempt }, task) {
  return h(
    "li",
    { key: `attempt ${attempt.number}`, class: `attempt tone-${tone(name)}` },
    h(
      "div",
      { class: "what" },
      h(
        "div",
        { class: "line" },
        h("b", null, `Attempt ${attempt.number}`),
        state(name),
        attempt.verdict && attempt.verdict !== "complete" && h("span", { class: "soft" }, follows(attempt)),
      ),
      h(
        "p",
        { class: "soft small" },
        "on ",
        h("a", { class: "mono", href: to("workers", null, { id: attempt.worker }) }, attempt.worker),
        " from ",
        h("time", { datetime: attempt.start, title: absolute(attempt.start) }, absolute(attempt.start).slice(11)),
        open && attempt.limit && name === "running" && [", ends by force ", when(attempt.limit)],
      ),
      name === "running" && progress(attempt.progress),
      attempt.error && h("pre", { class: "code error", tabindex: "0" }, attempt.error),
      attempt.other_runs.map((run, at) =>
        h(
          "p",
          { key: at, class: "soft small" },
          "Another run of it on ",
          h("span", { class: "mono" }, run.worker),
          ", ",
          run.outcome ?? (run.returned ? "given back" : "never ended"),
          run.stale && ", too late to count",
          run.error && `: ${run.error}`,
        ),
      ),
    ),
    h(
      "div",
      { class: "at number" },
      open && name !== "running" ? "no end known" : duration(until - from),
      task.state === "running" && open && h("span", { class: "hidden" }, " so far"),
    ),
  );
}

function follows({ verdict, retry_due: due }) {
  if (verdict === "retry") return Date.parse(due) > now() ? ["next try ", when(due)] : "then another try";
  return verdict === "dead_letter" ? "then a dead letter" : "then no more";
}

/** How far it is: a share, or whatever the handler says. */
export function progress(said) {
  if (said === null || said === undefined) return null;
  const share =
    typeof said === "number"
      ? said
      : typeof said === "object"
        ? (said.fraction ?? said.progress ?? (said.total > 0 ? said.done / said.total : said.percent / 100))
        : NaN;
  const text =
    typeof said === "object"
      ? (said.message ?? said.text ?? JSON.stringify(said))
      : Number.isNaN(share)
        ? String(said)
        : null;
  return h(
    "div",
    { class: "progress" },
    share >= 0 &&
      share <= 1 && [
        meter(share, 1, `${(share * 100).toFixed(0)} % done`),
        h("span", { class: "number" }, `${(share * 100).toFixed(0)} %`),
      ],
    text && h("span", { class: "soft small" }, text),
  );
}
