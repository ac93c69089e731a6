// The page: which view is shown, when it looks again, and what is around it.
import { patch } from "./lib/dom.js";
import { live, start } from "./lib/live.js";
import { here } from "./lib/route.js";
import { after } from "./parts/actions.js";
import { frame } from "./parts/frame.js";
import { listen } from "./parts/keys.js";
import { audit } from "./views/audit.js";
import { dead } from "./views/dead.js";
import { letter } from "./views/letter.js";
import { overview } from "./views/overview.js";
import { queue } from "./views/queue.js";
import { queues } from "./views/queues.js";
import { schedules } from "./views/schedules.js";
import { task } from "./views/task.js";
import { tasks } from "./views/tasks.js";
import { workers } from "./views/workers.js";
import { workflow } from "./views/workflow.js";
import { workflows } from "./views/workflows.js";

// A view is `context => ({ title, load(signal), view() })`: `load` asks the API, `view` says what is to be seen.
const VIEWS = { overview, queues, workers, tasks, schedules, workflows, dead, audit };
const SINGLE = { queues: queue, tasks: task, dead: letter, workflows: workflow };

// A view looks again no sooner than this after it has looked, and spends no more than a tenth of the time on looking: an
// open page must not be what the monitor is busy with.
const REST_MS = 1_000;
const REST_SHARE = 9;
const LONGEST_REST_MS = 10_000;

let shown = null;

function turnTo() {
  const place = here();
  // Parameters alone change nothing about which view it is: it keeps its state.
  if (shown && shown.place.view === place.view && shown.place.id === place.id) {
    shown.place = place;
    look(shown, true);
    return;
  }
  shown?.stop.abort();
  const make = place.id === null ? VIEWS[place.view] : SINGLE[place.view];
  const current = {
    place,
    stop: new AbortController(),
    looking: null,
    rested: 0, // until when it does not look again
    again: false,
    answered: false,
    error: null,
  };
  shown = current;
  const context = {
    get place() {
      return current.place;
    },
    redraw: () => current === shown && draw(),
    refresh: () => look(current, true),
  };
  current.view = (make ?? missing)(context);
  scrollTo(0, 0);
  look(current, true);
}

const missing = () => ({ title: "Nothing here", load: async () => {}, view: () => "There is no such page." });

// Looks once more. `at once`: what was asked before is of no use any more.
async function look(current, atOnce) {
  if (current !== shown) return;
  if (current.looking && !atOnce) {
    current.again = true;
    return;
  }
  current.looking?.abort();
  const looking = new AbortController();
  current.looking = looking;
  const begun = Date.now();
  try {
    await current.view.load(AbortSignal.any([looking.signal, current.stop.signal]));
    current.error = null;
    current.answered = true;
  } catch (error) {
    if (looking.signal.aborted || current.stop.signal.aborted) return;
    current.error = error;
  }
  if (looking.signal.aborted || current !== shown) return;
  current.looking = null;
  current.rested = Date.now() + (current.error ? REST_MS : rest(Date.now() - begun));
  draw();
  if (current.again) {
    current.again = false;
    soon(current);
  }
}

const rest = taken => Math.min(LONGEST_REST_MS, Math.max(REST_MS, REST_SHARE * taken));

function soon(current) {
  if (document.hidden || current !== shown) return;
  const left = current.rested - Date.now();
  if (left <= 0) look(current, false);
  else setTimeout(() => Date.now() >= current.rested && look(current, false), left);
}

function draw() {
  const { view, place, answered, error } = shown;
  document.title = `${view.title} · ${live.overview?.namespace ?? "Warren"}`;
  patch(
    document.body,
    frame({ place, title: view.title, answered, error, content: answered ? view.view() : null, redraw: draw }),
  );
}

after(() => look(shown, true));
addEventListener("hashchange", turnTo);
document.addEventListener("visibilitychange", () => soon(shown));
// Ages grow although nothing happens.
setInterval(() => document.hidden || draw(), 1_000);
turnTo();
draw();
listen();
start(() => {
  draw();
  soon(shown);
});
