#!/usr/bin/env node
// Enqueues tasks with amqplib (npm install).
//
//   export AMQP_URL=amqp://warren:warren@127.0.0.1:5672/%2f
//   node enqueue.mjs --kind echo --payload '{"n": 1}'
//   node enqueue.mjs --kind echo --queue default --priority 9 --count 3 --id order-7 --delay 500
//
// Prints each task's id. Exits with 0 when the broker has confirmed every task, else with 1.
import { randomUUID } from 'node:crypto';
import { parseArgs } from 'node:util';
import amqp from 'amqplib';

const { values: args } = parseArgs({
  options: {
    kind: { type: 'string' },
    queue: { type: 'string', default: 'default' },
    priority: { type: 'string', default: '0' },
    payload: { type: 'string', default: 'null' }, // JSON
    id: { type: 'string' }, // by default a new UUID; with --count a number is added
    delay: { type: 'string' }, // milliseconds
    header: { type: 'string', multiple: true, default: [] }, // NAME=VALUE, may be repeated
    count: { type: 'string', default: '1' },
    exchange: { type: 'string', default: 'warren.tasks' }, // empty: straight to the queue
  },
});

async function main() {
  if (!args.kind) throw new Error('--kind is missing');
  const connection = await amqp.connect(process.env.AMQP_URL);
  const channel = await connection.createConfirmChannel();
  // The broker returns what no queue took, and then confirms it all the same.
  const returned = new Set();
  channel.on('return', (message) => returned.add(message.properties.messageId));
  let reason; // why the broker closed the channel: every publish that is still open fails with it
  channel.on('error', (error) => (reason = error));

  const headers = Object.fromEntries(args.header.map((header) => header.split(/=(.*)/s, 2)));
  if (args.delay) headers.delay = Number(args.delay);
  const [exchange, key] = args.exchange ? [args.exchange, args.queue] : ['', `warren.q.${args.queue}`];
  const count = Number(args.count);

  const enqueue = (id) =>
    new Promise((resolve, reject) => {
      const properties = {
        type: args.kind,
        messageId: id,
        priority: Number(args.priority),
        persistent: true,
        mandatory: true,
        contentType: 'application/json',
        headers,
      };
      channel.publish(exchange, key, Buffer.from(args.payload), properties, (error) => {
        if (error) return reject(reason ?? error);
        if (returned.has(id)) return reject(new Error(`no queue took task ${id}`));
        console.log(id);
        resolve();
      });
    });
  const ids = Array.from({ length: count }, (_, n) =>
    count === 1 ? (args.id ?? randomUUID()) : `${args.id ?? randomUUID()}-${n}`,
  );
  // All at once: the confirms come back while the next ones are on their way.
  const results = await Promise.allSettled(ids.map(enqueue));
  await connection.close().catch(() => {});
  const failed = results.find((result) => result.status === 'rejected');
  if (failed) throw failed.reason;
}

main().catch((error) => {
  console.error(String(error));
  process.exit(1);
});
