// Where the reader is: `#/tasks?state=dead` is the view `tasks` with its parameters. All that a view shows is in there, so that a
// link or a reload shows the same again.

/** The place that the address names: `{ view, id, parameters }`. */
export function here() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [view = "", ...rest] = path.split("/");
  return {
    view: view || "overview",
    id: rest.length ? decode(rest.join("/")) : null,
    parameters: new URLSearchParams(query),
  };
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** The address of a view. Parameters without a value are left out. */
export function to(view, id = null, parameters = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== undefined && value !== null && value !== "") query.set(name, value);
  }
  return `#/${view}${id === null ? "" : `/${encodeURIComponent(id)}`}${query.size ? `?${query}` : ""}`;
}

/** Goes there. */
export const go = (...place) => {
  location.hash = to(...place);
};

/** Changes parameters of the place where we are. `quietly` leaves no step behind for the browser's back button. */
export function turn(changes, quietly = false) {
  const { view, id, parameters } = here();
  const hash = to(view, id, { ...Object.fromEntries(parameters), ...changes });
  if (hash === location.hash) return;
  if (!quietly) {
    location.hash = hash;
    return;
  }
  history.replaceState(null, "", hash);
  window.dispatchEvent(new HashChangeEvent("hashchange"));
}
