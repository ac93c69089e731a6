// The dead letters: what failed alike stands together, and is dealt with together.
import { find, get, path } from "../lib/api.js";
import { h } from "../lib/dom.js";
import { NOTHING, count, exact, plural, words } from "../lib/format.js";
import { to, turn } from "../lib/route.js";
import { group as act } from "../parts/actions.js";
import { fields } from "../parts/filters.js";
import { icon } from "../parts/icon.js";
import { jobs } from "../parts/jobs.js";
import { pages } from "../parts/pages.js";
import { Selection } from "../parts/selection.js";
import { state } from "../parts/state.js";
import { table } from "../parts/table.js";
import { when } from "../parts/time.js";

const LIMIT = 50;
const KEPT = ["queue", "kind", "fingerprint", "state", "worker", "since", "until", "cursor"];

/** `#/dead`: the groups; with `fingerprint`: the letters of one; with `all`: all letters. */
export function dead(context) {
  const selection = new Selection(context.redraw);
  let groups = null;
  let letters = null;
  let running = null;
  return {
    title: "Dead letters",
    async load(signal) {
      const { parameters } = context.place;
      const { queue, kind } = Object.fromEntries(parameters);
      const kept = Object.fromEntries([...parameters].filter(([name]) => KEPT.includes(name)));
      const [grouped, work] = await Promise.all([
        find(path("api/dead/groups", { queue, kind }), signal),
        find("api/jobs", signal),
      ]);
      groups = grouped?.groups ?? null;
      running = work?.jobs ?? null;
      letters = single(parameters) || !groups ? await get(path("api/dead", { ...kept, limit: LIMIT }), signal) : null;
    },
    view() {
      const { parameters } = context.place;
      const fingerprint = parameters.get("fingerprint");
      const chosen = fingerprint && groups?.find(group => group.fingerprint === fingerprint);
      return [
        h(
          "div",
          { class: "head" },
          h(
            "h2",
            null,
            single(parameters) &&
              groups &&
              h(
                "a",
                { class: "back", href: to("dead"), title: "All groups" },
                icon("back"),
                h("span", { class: "hidden" }, "All groups"),
              ),
            "Dead letters",
          ),
          groups &&
            !fingerprint &&
            h(
              "div",
              { class: "switch", role: "group", "aria-label": "How they are shown" },
              [
                [null, "Groups"],
                ["1", "Letters"],
              ].map(([all, name]) =>
                h(
                  "button",
                  {
                    key: name,
                    type: "button",
                    "aria-pressed": String(parameters.get("all") === all),
                    onclick: () => turn({ all, cursor: null, page: null }),
                  },
                  name,
                ),
              ),
            ),
        ),
        fields(parameters, [
          { name: "queue", label: "Queue" },
          { name: "kind", label: "Kind" },
        ]),
        jobs(running),
        chosen && groupCard(chosen, true),
        letters
          ? [letterTable(letters.dead, selection), pages(parameters, letters.next)]
          : groups.length
            ? h(
                "ul",
                { class: "groups", key: "groups" },
                groups.map(group => groupCard(group, false)),
              )
            : h("p", { class: "calm", key: "none" }, icon("check"), "No dead letters."),
        selection.bar(),
      ];
    },
  };
}

const single = parameters => parameters.has("fingerprint") || parameters.has("all");

function groupCard(group, alone) {
  const link = to("dead", null, { fingerprint: group.fingerprint });
  return h(
    alone ? "div" : "li",
    { key: group.fingerprint, class: "group sheet pad" },
    h(
      "div",
      { class: "count" },
      h("b", { title: exact(group.count) }, count(group.count)),
      h("span", { class: "soft small" }, group.count === 1 ? "letter" : "letters"),
    ),
    h(
      "div",
      { class: "about" },
      h(
        "div",
        { class: "line" },
        h("b", null, group.kind ?? "no kind"),
        h(
          "span",
          { class: "soft" },
          " in ",
          group.queue ? h("a", { href: to("queues", group.queue) }, group.queue) : NOTHING,
        ),
        state("dead", words(group.reason)),
        h("span", { class: "soft" }, words(group.reason)),
      ),
      h("pre", { class: "sample" }, group.error ?? "no error was told"),
      h(
        "p",
        { class: "soft small" },
        "first ",
        when(group.first),
        ", last ",
        when(group.last),
        " · ",
        h("a", { href: to("dead", group.sample) }, "a sample"),
        !alone && [" · ", h("a", { href: link }, plural(group.count, "letter"))],
        " · ",
        h("span", { class: "mono" }, group.fingerprint),
      ),
    ),
    h(
      "div",
      { class: "buttons" },
      h("button", { type: "button", class: "button", onclick: () => act.canary(group) }, icon("canary"), "Canary"),
      h(
        "button",
        { type: "button", class: "button primary", onclick: () => act.replay(group) },
        icon("retry"),
        "Replay all",
      ),
      h(
        "button",
        { type: "button", class: "button danger", onclick: () => act.discard(group) },
        icon("discard"),
        "Discard all",
      ),
    ),
  );
}

const letterTable = (letters, selection) =>
  table(
    [
      {
        name: "",
        label: "select",
        class: "select",
        head: selection.all(letters),
        cell: letter => selection.box(letter.id, letter.state),
      },
      {
        name: "letter",
        class: "main",
        title: letter => letter.id,
        cell: letter => h("a", { class: "mono id", href: to("dead", letter.id) }, letter.id),
      },
      {
        name: "state",
        cell: letter =>
          letter.replayed ? state("replayed", `replayed by ${letter.replayed.by}`) : state(letter.state),
      },
      { name: "kind", cell: letter => letter.kind ?? NOTHING },
      { name: "queue", cell: letter => letter.queue ?? NOTHING },
      { name: "because", cell: letter => (letter.reason ? words(letter.reason) : NOTHING) },
      { name: "attempts", class: "number", cell: letter => letter.attempts },
      { name: "first failure", class: "number", cell: letter => when(letter.first_failure) },
      { name: "last failure", class: "number", cell: letter => when(letter.last_failure) },
      {
        name: "error",
        class: "error",
        title: letter => letter.error,
        cell: letter => letter.error?.split("\n")[0] ?? NOTHING,
      },
    ],
    letters,
    {
      key: letter => letter.id,
      caption: "Dead letters",
      empty: "No dead letter matches.",
      row: letter => ({ tabindex: "0", class: selection.has(letter.id) ? "selected" : undefined }),
    },
  );
