// Data as it is: JSON indented and coloured, text as text.
import { h } from "../lib/dom.js";
import { bytes } from "../lib/format.js";

// More would make the page slow, and nobody reads on.
const COLOURED = 40_000;
const TOKEN = /("(?:[^"\\]|\\.)*")(\s*:)?|\b(true|false|null)\b|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;

/** Any JSON value. */
export const json = value => block(JSON.stringify(value, null, 2), true);

/** Text, indented and coloured where it is JSON. */
export function text(content) {
  try {
    const value = JSON.parse(content);
    // A number beyond JavaScript's precision must be shown as it came.
    return block(/\d{16}/.test(content) ? content : JSON.stringify(value, null, 2), true);
  } catch {
    return block(content, false);
  }
}

function block(content, coloured) {
  const shown = coloured && content.length < COLOURED ? colour(content) : content;
  return h("pre", { class: "code", tabindex: "0" }, shown);
}

function colour(content) {
  const parts = [];
  let end = 0;
  for (const match of content.matchAll(TOKEN)) {
    if (match.index > end) parts.push(content.slice(end, match.index));
    const kind = match[2] ? "name" : match[1] ? "string" : match[3] ? "word" : "number";
    parts.push(h("span", { class: kind }, match[1] ?? match[0]), match[2]);
    end = match.index + match[0].length;
  }
  return [...parts, content.slice(end)];
}

/** A payload as the API gives it: text, or bytes as Base64; how much of it. */
export function payload({ text: content, base64, bytes: size, truncated, content_type: type }) {
  const note = [
    bytes(size),
    type,
    truncated && "only its beginning is kept",
    base64 !== undefined && base64 !== null && "bytes that are no text, as Base64",
  ];
  return h(
    "div",
    null,
    h("p", { class: "soft small" }, note.filter(Boolean).join(" · ")),
    content !== undefined && content !== null ? text(content) : base64 ? block(base64, false) : null,
  );
}
