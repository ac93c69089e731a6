// A point in time: how long ago, and in its title when exactly.
import { h } from "../lib/dom.js";
import { NOTHING, absolute, ago, since } from "../lib/format.js";

const element = (time, text) => (time ? h("time", { datetime: time, title: absolute(time) }, text) : NOTHING);

/** "12 s ago" */
export const when = time => element(time, ago(time));

/** "12 s": how long it has gone on. */
export const lasting = time => element(time, since(time));
