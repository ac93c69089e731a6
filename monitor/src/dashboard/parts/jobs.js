// Replays and discards of many dead letters, while they go on and for a while after.
import { h } from "../lib/dom.js";
import { count, exact, rate, words } from "../lib/format.js";
import { to } from "../lib/route.js";
import { job as act } from "./actions.js";
import { icon } from "./icon.js";
import { meter } from "./meter.js";
import { state } from "./state.js";
import { when } from "./time.js";

const GOES_ON = ["running", "canary"];
const SHOWN = 6;

/** Those that go on, and a few that are over. */
export function jobs(all) {
  if (!all?.length) return null;
  const shown = all.filter((job, at) => GOES_ON.includes(job.state) || at < SHOWN);
  return h("section", { key: "jobs", class: "sheet pad jobs" }, h("h3", null, "Jobs"), h("ul", null, shown.map(entry)));
}

function entry(job) {
  return h(
    "li",
    { key: job.id },
    h(
      "div",
      { class: "line" },
      h("b", null, words(job.what)),
      subject(job.target),
      state(job.state),
      h("span", { class: "soft small" }, `by ${job.by} `, when(job.at), job.reason && `: ${job.reason}`),
    ),
    h(
      "div",
      { class: "line" },
      meter(job.done, job.total, `${exact(job.done)} of ${exact(job.total)}`),
      h("span", { class: "number" }, `${count(job.done)} of ${count(job.total)}`),
      job.failed > 0 && h("span", { class: "tone-dead" }, `${exact(job.failed)} could not be`),
      job.rate_per_second && h("span", { class: "soft" }, `at most ${rate(job.rate_per_second)}`),
      job.state === "canary" &&
        h(
          "button",
          { key: "on", type: "button", class: "button primary", onclick: () => act.goOn(job) },
          icon("retry"),
          "Replay the rest",
        ),
      GOES_ON.includes(job.state) &&
        h(
          "button",
          { key: "stop", type: "button", class: "button", onclick: () => act.stop(job) },
          icon("cancel"),
          "Stop",
        ),
    ),
    job.canary &&
      h(
        "p",
        { class: "small line" },
        icon("canary"),
        h("span", null, "canary ", h("a", { class: "mono id", href: to("tasks", job.canary.task) }, job.canary.task)),
        job.canary.state && state(job.canary.state),
        job.canary.error && h("span", { class: "tone-dead" }, job.canary.error.split("\n")[0]),
      ),
    job.error && h("p", { class: "tone-dead small" }, job.error),
  );
}

/** What a job or an action about dead letters is about: `group FINGERPRINT`, `3 tasks`, or the id of a task. */
export function subject(target) {
  const [, fingerprint] = /^group ([0-9a-f]+)$/.exec(target) ?? [];
  if (fingerprint)
    return h("span", null, "group ", h("a", { class: "mono", href: to("dead", null, { fingerprint }) }, fingerprint));
  if (/^\d+ tasks?$/.test(target)) return h("span", null, target);
  return h("a", { class: "mono id", href: to("tasks", target) }, target);
}
