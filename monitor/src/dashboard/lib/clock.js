// The pool's time. Ages are reckoned by the monitor's clock: that of the machine with the browser may be minutes off.

let ahead = 0;

/** Takes the monitor's word for what time it is. */
export function set(at) {
  const offset = Date.parse(at) - Date.now();
  // An answer was under way for a moment: less than that is no difference.
  ahead = Math.abs(offset) < 2_000 ? 0 : offset;
}

/** Now, in epoch milliseconds. */
export const now = () => Date.now() + ahead;
