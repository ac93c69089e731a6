// Replays and discards of many dead letters, while they go on and for a while after.
import { h } from "../lib/dom.js";
import { count, exact, rate, words } from "../lib/format.js";
import { to } from "../lib/route.js";
import { stopJob } from "./actions.js";
import { icon } from "./icon.js";
import { meter } from "./meter.js";
import { state } from "./state.js";
import { when } from "./time.js";

const GOES_ON = ["running", "canary", "waiting", "queued"];

/** The jobs, newest first. */
export function jobs(all) {
  if (!all?.length) return null;
  return h(
    "section",
    { key: "jobs", class: "sheet pad jobs" },
    h("h3", null, "Jobs"),
    h(
      "ul",
      null,
      all
        .slice(0, 8)
        .map(job =>
          h(
            "li",
            { key: job.id },
            h(
              "div",
              { class: "line" },
              h("b", null, words(job.what)),
              subject(job),
              state(job.state),
              h("span", { class: "soft small" }, `by ${job.by} `, when(job.at)),
            ),
            h(
              "div",
              { class: "line" },
              meter(job.done, job.total, `${exact(job.done)} of ${exact(job.total)}`),
              h("span", { class: "number" }, `${count(job.done)} of ${count(job.total)}`),
              job.failed > 0 && h("span", { class: "tone-dead" }, `${exact(job.failed)} failed`),
              job.rate_per_second && h("span", { class: "soft" }, `at most ${rate(job.rate_per_second)}`),
              GOES_ON.includes(job.state) &&
                h("button", { type: "button", class: "button", onclick: () => stopJob(job) }, icon("cancel"), "Stop"),
            ),
            job.error && h("p", { class: "tone-dead small" }, job.error),
          ),
        ),
    ),
  );
}

// A job is about a group, or about single letters.
function subject({ target }) {
  const name =
    typeof target === "object" && target ? (target.fingerprint ?? target.task ?? JSON.stringify(target)) : target;
  return name && h("a", { class: "mono id", href: to("dead", null, { fingerprint: name }) }, name);
}
