// One task: its life, what was asked, what came of it, and what can be done with it.
import { Problem, find, get, segment } from "../lib/api.js";
import { h } from "../lib/dom.js";
import { NOTHING, bytes } from "../lib/format.js";
import { live } from "../lib/live.js";
import { to } from "../lib/route.js";
import { one } from "../parts/actions.js";
import { json, payload } from "../parts/code.js";
import { commands } from "../parts/command.js";
import { copyButton } from "../parts/copy.js";
import { icon } from "../parts/icon.js";
import { state } from "../parts/state.js";
import { facts } from "../parts/table.js";
import { when } from "../parts/time.js";
import { bar, life, stretches } from "../parts/timeline.js";
import { waiting } from "../parts/waiting.js";
import { actionList } from "./audit.js";

/** `#/tasks/ID` */
export function task(context) {
  const { id } = context.place;
  let known = null;
  let why = null;
  return {
    title: `Task ${id}`,
    async load(signal) {
      known = await find(`api/tasks/${segment(id)}`, signal);
      if (!known)
        throw new Problem(
          404,
          `nothing is known of a task ${id}: it was never seen, or is over for longer than tasks are kept`,
        );
      const waits = known.state === "queued" || known.state === "delayed";
      why = waits ? await find(`api/tasks/${segment(id)}/waiting`, signal) : null;
    },
    view() {
      const all = stretches(known);
      return [
        heading(known),
        known.warning &&
          h(
            "p",
            { class: "problem banner calm-banner", key: "warning" },
            icon("warning"),
            h("span", null, `Warning: ${known.warning}`),
          ),
        known.cancel &&
          known.state === "running" &&
          h(
            "p",
            { class: "problem banner calm-banner", key: "cancel" },
            icon("cancel"),
            h(
              "span",
              null,
              `${known.cancel.by} has asked it to stop, `,
              when(known.cancel.at),
              known.cancel.reason && `: ${known.cancel.reason}`,
            ),
          ),
        known.discarded &&
          h(
            "p",
            { class: "problem banner calm-banner", key: "discarded" },
            icon("discard"),
            h(
              "span",
              null,
              `${known.discarded.by} has discarded it, `,
              when(known.discarded.at),
              known.discarded.reason && `: ${known.discarded.reason}`,
            ),
          ),
        waiting(why),
        h(
          "div",
          { class: "columns", key: "columns" },
          h(
            "div",
            null,
            h("section", { class: "sheet pad", key: "life" }, h("h3", null, "Life"), bar(all), life(known, all)),
            known.actions?.length > 0 &&
              h(
                "section",
                { key: "actions", class: "sheet pad" },
                h("h3", null, "What was done to it"),
                actionList(known.actions),
              ),
          ),
          h(
            "div",
            null,
            known.error &&
              known.state !== "succeeded" &&
              h(
                "section",
                { class: "sheet pad", key: "error" },
                h("h3", null, "Error", copyButton(known.error, "the error")),
                h("pre", { class: "code error", tabindex: "0" }, known.error),
              ),
            result(known),
            h(
              "section",
              { class: "sheet pad", key: "payload" },
              h("h3", null, "Payload", known.payload?.text && copyButton(known.payload.text, "the payload")),
              known.payload
                ? payload(known.payload)
                : h("p", { class: "soft" }, `${bytes(known.size)}; no preview was kept.`),
            ),
            about(known),
          ),
        ),
      ];
    },
  };
}

function heading(task) {
  return h(
    "div",
    { class: "head task-head", key: "heading" },
    h(
      "h2",
      null,
      h(
        "a",
        { class: "back", href: to("tasks"), title: "All tasks" },
        icon("back"),
        h("span", { class: "hidden" }, "All tasks"),
      ),
      h("span", null, task.kind ?? "no kind"),
      state(task.state),
      h("span", { class: "soft small" }, when(task.since)),
      h("span", { class: "mono id block" }, task.id, copyButton(task.id, "the id")),
    ),
    h("div", { class: "buttons" }, buttons(task)),
  );
}

function buttons(task) {
  const { id } = task;
  const button = (action, name, shape, style = "") =>
    h(
      "button",
      { key: action, type: "button", class: `button ${style}`, onclick: () => one(action, id) },
      icon(shape),
      name,
    );
  const asCommand = h(
    "button",
    {
      key: "command",
      type: "button",
      class: "button",
      onclick: () => commands(task, live.overview?.namespace ?? "warren"),
    },
    icon("terminal"),
    "As a command",
  );
  switch (task.state) {
    case "queued":
      return [asCommand, button("cancel", "Cancel", "cancel", "danger")];
    case "delayed":
      return [asCommand, button("run_now", "Run now", "now"), button("cancel", "Cancel", "cancel", "danger")];
    case "running":
      return [asCommand, !task.cancel && button("cancel", "Cancel", "cancel", "danger")];
    case "dead":
    case "expired":
      return [
        asCommand,
        h("a", { key: "letter", class: "button", href: to("dead", id) }, icon("edit"), "Look and edit"),
        button("retry", "Retry", "retry", "primary"),
      ];
    default:
      return asCommand;
  }
}

function result(task) {
  if (task.result_bytes)
    return h(
      "section",
      { class: "sheet pad", key: "result" },
      h("h3", null, "Result"),
      h("p", { class: "soft" }, `${bytes(task.result_bytes)}: too long to be kept.`),
    );
  if (task.result === null || task.result === undefined) return null;
  return h(
    "section",
    { class: "sheet pad", key: "result" },
    h("h3", null, "Result", copyButton(JSON.stringify(task.result), "the result")),
    json(task.result),
  );
}

// traceparent: version-trace-parent-flags (W3C Trace Context).
const trace = task => task.traceparent?.split("-")[1];

const about = task =>
  h(
    "section",
    { class: "sheet pad", key: "about" },
    h("h3", null, "About"),
    facts([
      ["Queue", task.queue && h("a", { href: to("queues", task.queue) }, task.queue)],
      ["Kind", task.kind && h("a", { href: to("tasks", null, { kind: task.kind }) }, task.kind)],
      ["Priority", String(task.priority)],
      ["Submitted", task.submitted ? when(task.submitted) : h("span", { class: "soft" }, "nobody said when")],
      ["Submitted by", task.app],
      ["In order of", task.order_key],
      ["Not before", task.due && when(task.due)],
      ["Starts no later than", task.deadline && when(task.deadline)],
      ["Payload", task.size !== null ? bytes(task.size) : NOTHING],
      ["Dead because", task.reason?.replaceAll("_", " ")],
      [
        "Fingerprint",
        task.fingerprint &&
          h("a", { class: "mono", href: to("dead", null, { fingerprint: task.fingerprint }) }, task.fingerprint),
      ],
      ["Trace", trace(task) && [h("span", { class: "mono id" }, trace(task)), copyButton(trace(task), "the trace id")]],
    ]),
  );
