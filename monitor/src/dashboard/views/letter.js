// One dead letter, read from its queue: what is in it, and its replay, as it is or changed.
import { find, get, post, segment } from "../lib/api.js";
import { h } from "../lib/dom.js";
import { words } from "../lib/format.js";
import { go, to } from "../lib/route.js";
import { one } from "../parts/actions.js";
import { payload } from "../parts/code.js";
import { copyButton } from "../parts/copy.js";
import { ask } from "../parts/dialog.js";
import { icon } from "../parts/icon.js";
import { notice } from "../parts/notice.js";
import { facts } from "../parts/table.js";
import { when } from "../parts/time.js";
import { change, draft, form } from "../parts/draft.js";

/** `#/dead/ID` */
export function letter(context) {
  const { id } = context.place;
  let known = null;
  let task = null;
  let edited = null;
  return {
    title: `Dead letter ${id}`,
    // Reading it costs the broker a walk along the queue: once is enough.
    async load(signal) {
      known ??= await get(`api/dead/${segment(id)}`, signal);
      task = await find(`api/tasks/${segment(id)}`, signal);
    },
    view() {
      const text = known.payload?.text;
      const edit = () => {
        edited = draft(known);
        context.redraw();
      };
      const leave = () => {
        edited = null;
        context.redraw();
      };
      return [
        h(
          "div",
          { class: "head", key: "head" },
          h(
            "h2",
            null,
            h(
              "a",
              { class: "back", href: to("dead"), title: "All dead letters" },
              icon("back"),
              h("span", { class: "hidden" }, "All dead letters"),
            ),
            known.kind ?? "no kind",
            h("span", { class: "soft small" }, words(known.reason)),
            h("span", { class: "mono id block" }, known.id, copyButton(known.id, "the id")),
          ),
          h(
            "div",
            { class: "buttons" },
            h("a", { class: "button", href: to("tasks", id) }, icon("tasks"), "Its life"),
            !edited &&
              h("button", { key: "edit", type: "button", class: "button", onclick: edit }, icon("edit"), "Edit"),
            h(
              "button",
              { key: "discard", type: "button", class: "button danger", onclick: () => one("discard", id) },
              icon("discard"),
              "Discard",
            ),
            !edited &&
              h(
                "button",
                { key: "replay", type: "button", class: "button primary", onclick: () => one("retry", id) },
                icon("retry"),
                "Replay",
              ),
          ),
        ),
        gone(task),
        known.error &&
          h(
            "section",
            { class: "sheet pad", key: "error" },
            h("h3", null, "Error"),
            h("pre", { class: "code error", tabindex: "0" }, known.error),
          ),
        edited
          ? form(edited, context.redraw, leave, () => replay(id, known, edited))
          : h(
              "div",
              { class: "columns", key: "letter" },
              h(
                "div",
                null,
                h(
                  "section",
                  { class: "sheet pad" },
                  h("h3", null, "Payload", text && copyButton(text, "the payload")),
                  payload(known.payload),
                ),
              ),
              h(
                "div",
                null,
                h("section", { class: "sheet pad" }, h("h3", null, "Headers"), headers(known.headers)),
                h(
                  "section",
                  { class: "sheet pad" },
                  h("h3", null, "About"),
                  facts([
                    ["Queue", h("a", { href: to("queues", known.queue) }, known.queue)],
                    ["Attempts", String(known.attempts)],
                    ["First failure", known.first_failure && when(known.first_failure)],
                    ["Last failure", known.last_failure && when(known.last_failure)],
                    [
                      "Fingerprint",
                      known.fingerprint &&
                        h(
                          "a",
                          { class: "mono", href: to("dead", null, { fingerprint: known.fingerprint }) },
                          known.fingerprint,
                        ),
                    ],
                    ...Object.entries(known.properties ?? {}).map(([name, value]) => [
                      words(name),
                      value === null ? null : typeof value === "object" ? JSON.stringify(value) : String(value),
                    ]),
                  ]),
                ),
              ),
            ),
      ];
    },
  };
}

const gone = task =>
  task &&
  task.state !== "dead" &&
  task.state !== "expired" &&
  h(
    "p",
    { class: "problem banner calm-banner", key: "gone" },
    icon("check"),
    h(
      "span",
      null,
      `This task is ${task.state} now: the letter below is what it was. `,
      h("a", { href: to("tasks", task.id) }, "See its life"),
    ),
  );

const headers = all =>
  Object.keys(all ?? {}).length
    ? facts(
        Object.entries(all).map(([name, value]) => [
          h("span", { class: "mono" }, name),
          h("span", { class: "mono" }, typeof value === "object" ? JSON.stringify(value) : String(value)),
        ]),
      )
    : h("p", { class: "soft" }, "none");

function replay(id, known, edited) {
  const changed = change(known, edited);
  const says = [
    changed.kind && `its kind is ${changed.kind}`,
    changed.payload !== undefined && "its payload is changed",
    changed.headers && `headers that change: ${Object.keys(changed.headers).join(", ")}`,
  ].filter(Boolean);
  ask({
    title: "Replay it changed?",
    confirm: "Replay the letter",
    text: says.length
      ? `It goes back to its queue; ${says.join("; ")}.`
      : "Nothing is changed: it goes back to its queue as it was.",
    act: async values => {
      await post(`api/dead/${segment(id)}/replay`, { ...changed, ...(values.reason ? { reason: values.reason } : {}) });
      notice("It is on its way");
      go("tasks", id);
    },
  });
}
