// What is around every view: where one can go, the search, and whether what is seen is what is.
import { h } from "../lib/dom.js";
import { absolute, clock, count, duration, exact } from "../lib/format.js";
import { live } from "../lib/live.js";
import { go, to } from "../lib/route.js";
import { icon } from "./icon.js";
import { help } from "./keys.js";

const PLACES = [
  ["overview", "Overview", "o"],
  ["queues", "Queues", "q"],
  ["workers", "Workers", "w"],
  ["tasks", "Tasks", "t"],
  ["schedules", "Schedules", "s"],
  ["workflows", "Workflows", "f"],
  ["dead", "Dead letters", "d"],
  ["audit", "Audit trail", "a"],
];

/** The whole page. */
export function frame({ place, title, answered, error, content, redraw }) {
  return [
    h(
      "a",
      {
        key: "skip",
        class: "skip",
        href: "#main",
        onclick: event => {
          event.preventDefault();
          document.getElementById("main").focus();
        },
      },
      "To the content",
    ),
    h(
      "header",
      { key: "top", class: "top" },
      h("a", { class: "brand", href: to("overview") }, logo(), h("b", null, "Warren"), pool()),
      search(place),
      connection(),
      tools(redraw),
    ),
    h(
      "nav",
      { key: "nav", class: "places", "aria-label": "Views" },
      PLACES.map(([view, name, key]) => link(view, name, key, place)),
    ),
    h(
      "main",
      { key: "main", id: "main", tabindex: "-1" },
      live.lost !== null
        ? lost()
        : live.trouble &&
            h(
              "p",
              { key: "lost", class: "problem banner", role: "alert" },
              icon("warning"),
              h("span", null, `What you see is old: ${live.trouble}`),
            ),
      error &&
        h(
          "p",
          { class: "problem banner", role: "alert", key: "error" },
          icon("warning"),
          h("span", null, error.field && h("b", null, `${error.field}: `), error.message),
        ),
      h("h1", { class: "hidden" }, title),
      answered
        ? h(
            "div",
            { key: `${place.view}/${place.id}`, class: `view view-${place.view}${live.lost === null ? "" : " stale"}` },
            content,
          )
        : error
          ? null
          : h("p", { class: "empty" }, "Asking…"),
    ),
  ];
}

const logo = () =>
  h(
    "svg",
    { viewBox: "0 0 32 32", class: "logo", "aria-hidden": "true" },
    h("rect", { width: 32, height: 32, rx: 8 }),
    h("path", { d: "M11 24V13a5 5 0 0 1 10 0v11M6 24h20" }),
  );

const pool = () =>
  live.overview &&
  h(
    "span",
    { class: "pool", title: `monitor ${live.overview.monitor}, version ${live.overview.version}` },
    live.overview.namespace,
  );

function link(view, name, key, place) {
  const current = place.view === view;
  const badge = badges(view);
  return h(
    "a",
    { key: view, href: to(view), "aria-current": current ? "page" : undefined, title: `${name} (g ${key})` },
    icon(view),
    h("span", { class: "name" }, name),
    badge && h("span", { class: `badge${badge.bad ? " bad" : ""}`, title: badge.title }, badge.text),
  );
}

function badges(view) {
  const known = live.overview;
  if (!known) return null;
  switch (view) {
    case "overview":
      return known.findings.length
        ? { text: count(known.findings.length), bad: true, title: "things are wrong" }
        : null;
    case "queues":
      return { text: count(known.states.queued), title: `${exact(known.states.queued)} queued` };
    case "workers":
      return {
        text: count(known.workers.alive + known.workers.draining + known.workers.not_consuming),
        title: "workers that are there",
      };
    case "tasks":
      return { text: count(known.states.running), title: `${exact(known.states.running)} running` };
    case "dead":
      return known.states.dead
        ? { text: count(known.states.dead), bad: true, title: `${exact(known.states.dead)} dead letters` }
        : null;
    default:
      return null;
  }
}

function search(place) {
  const submit = event => {
    event.preventDefault();
    const q = new FormData(event.target).get("q").trim();
    go("tasks", null, { q });
  };
  const value = place.view === "tasks" ? (place.parameters.get("q") ?? "") : "";
  return h(
    "form",
    { class: "search", role: "search", onsubmit: submit },
    icon("search"),
    h("input", {
      id: "search",
      name: "q",
      type: "search",
      value,
      placeholder: "Find a task by id or error",
      "aria-label": "Find a task by a part of its id or of its error",
      autocomplete: "off",
      spellcheck: "false",
    }),
    h("kbd", null, "/"),
  );
}

function connection() {
  const known = live.overview;
  if (live.lost !== null)
    return h(
      "span",
      { class: "pulse bad", title: "The monitor does not answer" },
      h("i", null),
      h("span", null, "offline"),
    );
  if (!known) return h("span", { class: "pulse" }, h("i", null), h("span", null, "connecting"));
  const behind = known.lag_seconds;
  if (!known.leader)
    return h(
      "span",
      { class: "pulse bad", title: "No monitor projects the event log: what is shown grows old" },
      h("i", null),
      h("span", null, "no leader"),
    );
  if (behind === null)
    return h(
      "span",
      { class: "pulse slow", title: `${known.leader} reads the event log` },
      h("i", null),
      h("span", null, "catching up"),
    );
  const slow = behind > 5;
  return h(
    "span",
    { class: `pulse ${slow ? "slow" : "good"}`, title: `As of ${absolute(known.at)}, led by ${known.leader}` },
    h("i", null),
    h("span", null, slow ? `${duration(behind * 1_000)} behind` : "live"),
  );
}

const lost = () =>
  h(
    "p",
    { key: "lost", class: "problem banner", role: "alert" },
    icon("warning"),
    h(
      "span",
      null,
      `The monitor has not answered since ${clock(new Date(live.lost))}. What you see is from then; we keep asking.`,
    ),
  );

const THEMES = ["auto", "light", "dark"];
const theme = () => document.documentElement.dataset.theme ?? "auto";

function tools(redraw) {
  const now = theme();
  const next = THEMES[(THEMES.indexOf(now) + 1) % THEMES.length];
  const choose = () => {
    if (next === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = next;
    localStorage.setItem("warren-theme", next);
    redraw();
  };
  return h(
    "div",
    { class: "tools" },
    h(
      "button",
      {
        type: "button",
        class: "button bare",
        onclick: choose,
        title: `Colours: ${now}. Change to ${next}`,
        "aria-label": `Colours: ${now}. Change to ${next}`,
      },
      icon({ auto: "auto", light: "sun", dark: "moon" }[now]),
    ),
    h(
      "button",
      { type: "button", class: "button bare wide-only", onclick: help, title: "Keys (?)", "aria-label": "Keys" },
      icon("keys"),
    ),
  );
}
