// The monitor's API. Paths are relative, so that the page works behind a proxy that puts it into a folder.

/** The whole address of a path. Without the name and password that may be in the page's own: a browser refuses such. */
export const address = path => new URL(path, location.origin + location.pathname).href;

/** What the monitor said no to, in its own words. */
export class Problem extends Error {
  constructor(status, detail, field) {
    super(detail);
    this.name = "Problem";
    this.status = status;
    this.field = field;
  }
}

const PATIENCE_MS = 15_000;

/** GET: the answer, or a `Problem`. */
export function get(path, signal) {
  return request(path, { signal: AbortSignal.any([AbortSignal.timeout(PATIENCE_MS), ...(signal ? [signal] : [])]) });
}

/** The same, but null where the monitor knows nothing of it. */
export async function find(path, signal) {
  try {
    return await get(path, signal);
  } catch (error) {
    if (error instanceof Problem && error.status === 404) return null;
    throw error;
  }
}

/** POST of a wish. */
export function post(path, body) {
  const signal = AbortSignal.timeout(2 * PATIENCE_MS);
  return request(path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
    signal,
  });
}

async function request(path, options) {
  let answer, text;
  try {
    answer = await fetch(address(path), { cache: "no-store", ...options });
    // It can be given up, or break off, here as well.
    text = await answer.text();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(
      0,
      error.name === "TimeoutError" ? "the monitor has not answered in time" : "the monitor cannot be reached",
    );
  }
  const said = json(text);
  if (!answer.ok)
    throw new Problem(
      answer.status,
      said?.detail ?? `the monitor answers ${answer.status} ${answer.statusText}`,
      said?.field,
    );
  if (said === undefined) throw new Problem(answer.status, "the monitor's answer is not JSON: does a proxy stand before it?");
  return said;
}

function json(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** A path with parameters; those without a value are left out. */
export function path(base, parameters = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== undefined && value !== null && value !== "") query.set(name, value);
  }
  return query.size ? `${base}?${query}` : base;
}

/** As a segment of a path. */
export const segment = encodeURIComponent;
