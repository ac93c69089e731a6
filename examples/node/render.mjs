// Fills in a template: payload {"template": "Dear {{name}}", "values": {"name": "Ada"}}, result {"text": "Dear Ada"}.
//
// A `process` handler: a task comes as a line of JSON, its end goes out as one. The program stays, so Node starts once and
// not for every task. Standard output belongs to the protocol; whatever else is to be said goes to standard error.
import { createInterface } from 'node:readline';
import mustache from 'mustache';

function render({ template, values }) {
  return { text: mustache.render(template, values, {}, { escape: String }) };
}

for await (const line of createInterface({ input: process.stdin })) {
  const { id, payload } = JSON.parse(line);
  let answer;
  try {
    answer = { id, result: render(payload) };
  } catch (error) {
    // A template that cannot be read today cannot be read tomorrow.
    answer = { id, error: String(error), retry: false };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
