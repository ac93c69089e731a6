// All tasks, narrowed by whatever the API can narrow by, and what can be done with several of them.
import { get, path } from "../lib/api.js";
import { h } from "../lib/dom.js";
import { NOTHING } from "../lib/format.js";
import { to } from "../lib/route.js";
import { fields, narrowed, states } from "../parts/filters.js";
import { pages } from "../parts/pages.js";
import { Selection } from "../parts/selection.js";
import { STATES, state } from "../parts/state.js";
import { table } from "../parts/table.js";
import { when } from "../parts/time.js";

const FIELDS = [
  { name: "q", label: "Id or error", type: "search", placeholder: "part of it" },
  { name: "queue", label: "Queue" },
  { name: "kind", label: "Kind" },
  { name: "worker", label: "Worker" },
  { name: "priority", label: "Priority", type: "number", min: "0", max: "9" },
  { name: "since", label: "Since", type: "datetime-local", step: "1" },
  { name: "until", label: "Until", type: "datetime-local", step: "1" },
  { name: "fingerprint", label: "Fingerprint" },
];
const LIMIT = 50;

/** `#/tasks` */
export function tasks(context) {
  const selection = new Selection(context.redraw);
  let asked = null;
  let list = [];
  let next = null;
  let newer = null;

  return {
    title: "Tasks",
    async load(signal) {
      const parameters = Object.fromEntries(context.place.parameters);
      delete parameters.page;
      const question = path("api/tasks", { ...parameters, limit: LIMIT });
      const answer = await get(question, signal);
      // Rows that move away under the pointer make one act on the wrong ones: while some are chosen, the list stands still.
      if (asked === question && selection.size > 0 && !same(answer.tasks, list)) {
        const found = new Map(answer.tasks.map(task => [task.id, task]));
        list = list.map(task => found.get(task.id) ?? task);
        newer = answer;
        return;
      }
      [asked, list, next, newer] = [question, answer.tasks, answer.next, null];
    },
    view() {
      const { parameters } = context.place;
      const shown = () => {
        [list, next, newer] = [newer.tasks, newer.next, null];
        context.redraw();
      };
      return [
        h("div", { class: "head" }, h("h2", null, "Tasks")),
        states(parameters, STATES),
        fields(parameters, FIELDS),
        newer &&
          h(
            "p",
            { class: "newer", key: "newer" },
            "The list has changed. ",
            h("button", { type: "button", class: "button", onclick: shown }, "Show it as it is now"),
          ),
        h(
          "div",
          { key: "list" },
          taskTable(list, selection, narrowed(parameters) ? nothing(next) : "No task has been seen yet."),
        ),
        pages(parameters, next),
        selection.bar(),
      ];
    },
  };
}

const same = (a, b) => a.length === b.length && a.every((task, at) => task.id === b[at].id);
const nothing = next => (next ? "None among those looked at so far: older ones may match." : "No task matches.");

/** Tasks as a table. */
export function taskTable(tasks, selection, empty) {
  return table(
    [
      {
        name: "",
        label: "select",
        class: "select",
        head: selection.all(tasks),
        cell: task => selection.box(task.id, task.state),
      },
      { name: "state", cell: task => state(task.state) },
      {
        name: "task",
        class: "main",
        title: task => task.id,
        cell: task => h("a", { class: "mono id", href: to("tasks", task.id) }, task.id),
      },
      { name: "kind", cell: task => task.kind ?? NOTHING },
      { name: "queue", cell: task => task.queue ?? NOTHING },
      { name: "priority", class: "number", cell: task => task.priority },
      {
        name: "since",
        class: "number",
        cell: task =>
          task.state === "delayed" && task.due ? h("span", null, "due ", when(task.due)) : when(task.since),
      },
      { name: "attempts", class: "number spare", cell: task => task.attempts },
      {
        name: "error",
        class: "error",
        title: task => task.error,
        cell: task =>
          task.error
            ? task.error.split("\n")[0]
            : task.warning
              ? h("span", { class: "soft", title: task.warning }, "not persistent")
              : h("span", { class: "soft" }, NOTHING),
      },
    ],
    tasks,
    {
      key: task => task.id,
      caption: "Tasks",
      empty,
      row: task => ({
        tabindex: "0",
        "aria-selected": selection.has(task.id) ? "true" : undefined,
        class: selection.has(task.id) ? "selected" : undefined,
      }),
    },
  );
}
