// One queue over time.
import { Problem, find, get, path } from "../lib/api.js";
import { h } from "../lib/dom.js";
import { to, turn } from "../lib/route.js";
import { charts, keeper, range, ranges } from "../parts/series.js";
import { pauseButton, paused, queueTable } from "./queues.js";
import { icon } from "../parts/icon.js";

/** `#/queues/NAME` */
export function queue(context) {
  const name = context.place.id;
  const keep = keeper(range => find(path("api/series", { range, queue: name })));
  let known = null;
  let series = null;
  return {
    title: `Queue ${name}`,
    async load(signal) {
      const [answer, figures] = await Promise.all([get("api/queues", signal), keep(range(context.place.parameters))]);
      known = answer.queues.find(queue => queue.queue === name);
      if (!known) throw new Problem(404, `no queue ${name} is known`);
      series = figures;
    },
    view: () => [
      h(
        "div",
        { class: "head" },
        h(
          "h2",
          null,
          h(
            "a",
            { class: "back", href: to("queues"), title: "All queues" },
            icon("back"),
            h("span", { class: "hidden" }, "All queues"),
          ),
          name,
        ),
        h(
          "div",
          { class: "buttons" },
          h("a", { class: "button", href: to("tasks", null, { queue: name }) }, icon("tasks"), "Its tasks"),
          pauseButton(known),
        ),
      ),
      known.paused &&
        h(
          "p",
          { class: "problem banner calm-banner" },
          icon("pause"),
          h("span", null, `This queue is ${paused(known.paused)}. Nobody takes from it.`),
        ),
      queueTable([known], false),
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
    ],
  };
}
