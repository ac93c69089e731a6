// The overview as the monitor sends it, and whether it still does. A view is told of each new one and looks again.
import { address, get } from "./api.js";
import * as clock from "./clock.js";

// An overview comes every second where anything moves. After such a silence we ask: a connection can be dead without a word.
const SILENCE_MS = 5_000;
const PATIENCE_MS = 5_000;
const RETRY_MS = 2_000;

/**
 * What is known at present. `lost` is since when nothing has been heard, in epoch ms; null while all is well. `trouble` is what
 * keeps the monitor from looking, in its words.
 */
export const live = { overview: null, lost: null, trouble: null };

let listener = () => {};
let source = null;
let streams = false;
let heard = 0;
let asking = false;

/** Begins to listen; `told` is called at each change. */
export function start(told) {
  listener = told;
  heard = Date.now();
  open();
  setInterval(watch, 1_000);
  document.addEventListener("visibilitychange", watch);
}

function open() {
  source?.close();
  source = new EventSource(address("api/live"));
  source.addEventListener("open", () => (streams = true));
  source.addEventListener("overview", event => hear(JSON.parse(event.data)));
  source.addEventListener("problem", event => trouble(JSON.parse(event.data).detail));
  source.addEventListener("error", () => {
    streams = false;
    watch();
  });
}

function hear(overview) {
  heard = Date.now();
  clock.set(overview.at);
  live.overview = overview;
  live.lost = null;
  live.trouble = null;
  listener();
}

// It is there, but knows nothing new: Redis is away, say.
function trouble(text) {
  heard = Date.now();
  live.lost = null;
  live.trouble = text;
  listener();
}

// Whether the monitor is there is what an answer says, not what became of the stream.
async function watch() {
  if (asking || document.hidden || Date.now() - heard < (streams ? SILENCE_MS : RETRY_MS)) return;
  asking = true;
  try {
    hear(await get("api/overview", AbortSignal.timeout(PATIENCE_MS)));
    // The browser opens the stream again by itself only where the connection broke, not where the answer was an error.
    if (source.readyState === EventSource.CLOSED) open();
  } catch (error) {
    if (error.status > 0) trouble(error.message);
    else live.lost ??= heard;
    listener();
  } finally {
    asking = false;
  }
}
