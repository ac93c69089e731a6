// A task as a command line that hands in its like.
import { h } from "../lib/dom.js";
import { copyButton } from "./copy.js";
import { ask } from "./dialog.js";

// For a POSIX shell.
const quote = text => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

/** The dialog that shows them. */
export function commands(task, namespace) {
  const lines = [
    ["warren-producer", producer(task, namespace)],
    ["amqp-publish", publish(task, namespace)],
  ];
  const doubt = doubts(task);
  ask({
    title: "As a command line",
    reason: false,
    text: [
      h("p", null, "Hands in another task like this one, with an id of its own. ", doubt),
      lines.map(([name, line]) =>
        h(
          "div",
          { key: name, class: "command" },
          h("h3", null, name, copyButton(line, `the ${name} command`)),
          h("pre", { class: "code", tabindex: "0" }, line),
        ),
      ),
    ],
    act: () => {},
  });
}

function doubts({ payload }) {
  if (!payload) return "Its payload is not known any more: put it in.";
  if (payload.truncated) return "Only the beginning of its payload is kept: put in the rest.";
  return payload.text === undefined || payload.text === null
    ? "Its payload is no text: it is decoded from Base64."
    : null;
}

const isText = payload => payload && payload.text !== undefined && payload.text !== null;

function isJson(text) {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function producer({ kind, queue, priority, payload }, namespace) {
  const parts = [];
  if (namespace !== "warren") parts.push(`WARREN_NAMESPACE=${quote(namespace)}`);
  parts.push(`warren-producer enqueue --kind ${quote(kind ?? "KIND")}`);
  if (queue && queue !== "default") parts.push(`--queue ${quote(queue)}`);
  if (priority) parts.push(`--priority ${priority}`);
  if (!payload) return [...parts, "--payload PAYLOAD"].join(" ");
  if (isText(payload) && isJson(payload.text)) return [...parts, `--payload ${quote(payload.text)}`].join(" ");
  const bytes = isText(payload)
    ? `printf %s ${quote(payload.text)}`
    : `echo ${quote(payload.base64 ?? "")} | base64 -d`;
  return `${bytes} | ${[...parts, "--payload-file /dev/stdin"].join(" ")}`;
}

function publish({ kind, queue, payload }, namespace) {
  const parts = [
    'amqp-publish --url="$AMQP_URL"',
    `-e ${quote(`${namespace}.tasks`)}`,
    `-r ${quote(queue ?? "default")} -p`,
  ];
  if (payload?.content_type) parts.push(`-C ${quote(payload.content_type)}`);
  if (kind) parts.push(`-H ${quote(`task: ${kind}`)}`);
  if (payload && !isText(payload)) return `echo ${quote(payload.base64 ?? "")} | base64 -d | ${parts.join(" ")}`;
  return `${parts.join(" ")} -b ${payload ? quote(payload.text) : "PAYLOAD"}`;
}
