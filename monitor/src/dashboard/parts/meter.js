// Shares of a whole, as a bar.
import { h } from "../lib/dom.js";
import { count, words } from "../lib/format.js";
import { tone } from "./state.js";

/** One share: slots in use, progress. */
export function meter(value, whole, label) {
  const share = whole > 0 ? Math.min(1, Math.max(0, value / whole)) : 0;
  return h(
    "span",
    { class: "meter", role: "img", "aria-label": label, title: label },
    h("span", { class: "fill", style: { width: `${(share * 100).toFixed(1)}%` } }),
  );
}

/** Several, one after the other: `[[state, number], …]`. */
export function shares(parts, largest) {
  const shown = parts.filter(([, number]) => number > 0);
  const label = shown.map(([name, number]) => `${count(number)} ${words(name)}`).join(", ") || "empty";
  return h(
    "span",
    { class: "meter shares", role: "img", "aria-label": label, title: label },
    shown.map(([name, number]) =>
      h("span", {
        key: name,
        class: `fill tone-${tone(name)}`,
        style: { width: `${((number / largest) * 100).toFixed(2)}%` },
      }),
    ),
  );
}

/** "3 of 6 slots". An attempt whose handler has ended has given its slot back while its outcome is made safe. */
export const slots = ({ busy, slots }) =>
  slots === null
    ? count(busy)
    : `${count(Math.min(busy, slots))} of ${count(slots)} slots${busy > slots ? `, ${count(busy - slots)} settling` : ""}`;
