// A view says what is to be seen as plain objects; `patch` makes the page so and touches nothing that is so already. That is
// why focus, selection and scroll survive a refresh. Whatever comes from outside becomes a text node or an attribute, never
// markup: nothing here parses HTML.

const SVG = "http://www.w3.org/2000/svg";
const DRAWN = Symbol("what was drawn last");

/** An element. `props`: attributes, `on…` handlers, `key`, `style` as an object, and `.name` for a property. */
export function h(tag, props, ...children) {
  const shown = children
    .flat(Infinity)
    .filter(child => child !== null && child !== undefined && child !== false && child !== "");
  return {
    tag,
    props: props ?? {},
    children: shown.map(child => (typeof child === "object" ? child : { text: String(child) })),
  };
}

/** Makes the children of `parent` what is wanted. */
export function patch(parent, wanted) {
  const focused = document.activeElement;
  reconcile(parent, [wanted].flat(Infinity).filter(Boolean), parent.namespaceURI === SVG);
  // Where a list was put in another order, the browser takes the focus from what moved.
  if (focused && focused !== document.activeElement && focused.isConnected && parent.contains(focused)) {
    focused.focus({ preventScroll: true });
  }
}

function reconcile(parent, wanted, svg) {
  const left = new Map();
  const name = numbering();
  for (const node of parent[DRAWN] ?? []) left.set(name(node), node);
  const again = numbering();
  for (const node of wanted) {
    const id = again(node);
    const before = left.get(id);
    left.delete(id);
    node.dom = before ? renew(before, node, svg) : create(node, svg);
  }
  // First what goes: then what stays is in order already, unless the order itself has changed.
  for (const node of left.values()) node.dom.remove();
  let place = parent.firstChild;
  for (const node of wanted) {
    if (node.dom === place) place = place.nextSibling;
    else parent.insertBefore(node.dom, place);
  }
  parent[DRAWN] = wanted;
}

// Which of two drawings of a list are the same thing: by tag and key, and by their place among those that share both.
function numbering() {
  const seen = new Map();
  return node => {
    const kind = `${node.tag ?? "#text"} ${node.props?.key ?? ""}`;
    const number = seen.get(kind) ?? 0;
    seen.set(kind, number + 1);
    return `${kind} ${number}`;
  };
}

function create(node, svg) {
  if (node.tag === undefined) return document.createTextNode(node.text);
  const inside = svg || node.tag === "svg";
  const dom = inside ? document.createElementNS(SVG, node.tag) : document.createElement(node.tag);
  for (const [name, value] of Object.entries(node.props)) set(dom, name, value, undefined);
  if (!drawsItself(node)) reconcile(dom, node.children, inside);
  // The value of a <select> means something only once its options are there.
  if (node.tag === "select" && "value" in node.props) dom.value = node.props.value;
  return dom;
}

function renew(before, node, svg) {
  const dom = before.dom;
  if (node.tag === undefined) {
    if (before.text !== node.text) dom.data = node.text;
    return dom;
  }
  for (const name of Object.keys(before.props)) {
    if (!(name in node.props)) set(dom, name, undefined, before.props[name]);
  }
  for (const [name, value] of Object.entries(node.props)) {
    if (value !== before.props[name]) set(dom, name, value, before.props[name]);
  }
  if (!drawsItself(node)) reconcile(dom, node.children, svg || node.tag === "svg");
  return dom;
}

// What is in a custom element is its own business.
const drawsItself = node => node.tag.includes("-");

function set(dom, name, value, before) {
  if (name === "key") return;
  if (name.startsWith("on")) dom[name] = value ?? null;
  else if (name.startsWith(".")) dom[name.slice(1)] = value;
  else if (name === "style") restyle(dom, value ?? {}, before ?? {});
  // Only when we want another value than we wanted before: what somebody is typing stays.
  else if (name === "value" || name === "checked" || name === "indeterminate")
    dom[name] = value ?? (name === "value" ? "" : false);
  else if (value === undefined || value === null || value === false) dom.removeAttribute(name);
  else dom.setAttribute(name, value === true ? "" : value);
}

// Property by property: the content security policy allows no style attribute.
function restyle(dom, wanted, before) {
  for (const name of Object.keys(before)) if (!(name in wanted)) dom.style.removeProperty(name);
  for (const [name, value] of Object.entries(wanted)) if (value !== before[name]) dom.style.setProperty(name, value);
}
