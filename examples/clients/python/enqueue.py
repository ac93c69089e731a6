#!/usr/bin/env python3
"""Enqueues tasks with pika (pip install -r requirements.txt).

    export AMQP_URL=amqp://warren:warren@127.0.0.1:5672/%2f
    ./enqueue.py --kind echo --payload '{"n": 1}'
    ./enqueue.py --kind echo --queue default --priority 9 --count 3 --id order-7 --delay 500 --wait

Prints each task's id, and with --wait a line of JSON with its outcome and result as well. Exits with 0 when the
broker has confirmed every task (and, with --wait, every task has succeeded), else with 1.
"""
import argparse
import json
import os
import sys
import uuid

import pika


def main(args):
    url = os.environ.get("AMQP_URL") or sys.exit("AMQP_URL is not set")
    connection = pika.BlockingConnection(pika.URLParameters(url))
    channel = connection.channel()
    # From here on a publish returns when the broker has the message, and raises when it has not.
    channel.confirm_delivery()
    replies = channel.queue_declare("", exclusive=True).method.queue if args.wait else None
    exchange, key = (args.exchange, args.queue) if args.exchange else ("", f"warren.q.{args.queue}")
    ids = [args.id or str(uuid.uuid4()) if args.count == 1 else f"{args.id or uuid.uuid4()}-{n}" for n in range(args.count)]
    for task in ids:
        properties = pika.BasicProperties(
            type=args.kind,
            message_id=task,
            priority=args.priority,
            delivery_mode=pika.DeliveryMode.Persistent.value,
            content_type="application/json",
            headers=headers(args),
            reply_to=replies,
            correlation_id=task if replies else None,
        )
        channel.basic_publish(exchange, key, args.payload.encode(), properties, mandatory=True)
        print(task, flush=True)
    succeeded = collect(channel, replies, set(ids)) if replies else True
    connection.close()
    return 0 if succeeded else 1


def headers(args):
    wanted = dict(header.split("=", 1) for header in args.header)
    if args.delay is not None:
        wanted["delay"] = args.delay
    return wanted


def collect(channel, replies, waiting):
    """Prints the replies as they come, until every task has one."""
    succeeded = True
    for method, properties, body in channel.consume(replies, auto_ack=True):
        if properties.correlation_id not in waiting:
            continue  # a reply may come twice
        waiting.remove(properties.correlation_id)
        outcome = properties.headers["outcome"]
        succeeded = succeeded and outcome == "success"
        result = json.loads(body) if properties.content_type == "application/json" else body.decode() or None
        reply = {"id": properties.correlation_id, "outcome": outcome, "result": result}
        if "error" in properties.headers:
            reply["error"] = properties.headers["error"]
        print(json.dumps(reply), flush=True)
        if not waiting:
            channel.cancel()
            return succeeded


def parse():
    parser = argparse.ArgumentParser(description="Enqueues tasks.")
    parser.add_argument("--kind", required=True)
    parser.add_argument("--queue", default="default")
    parser.add_argument("--priority", type=int, choices=range(10), default=0)
    parser.add_argument("--payload", default="null", help="JSON")
    parser.add_argument("--id", help="by default a new UUID; with --count a number is added")
    parser.add_argument("--delay", type=int, metavar="MS")
    parser.add_argument("--header", action="append", default=[], metavar="NAME=VALUE", help="may be repeated")
    parser.add_argument("--count", type=int, default=1)
    parser.add_argument("--wait", action="store_true", help="wait for the results")
    parser.add_argument("--exchange", default="warren.tasks", help="empty: straight to the queue")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        sys.exit(main(parse()))
    except pika.exceptions.UnroutableError:
        sys.exit("no queue took the task")
    except pika.exceptions.NackError:
        sys.exit("the broker refused the task")
    except pika.exceptions.AMQPError as error:
        sys.exit(f"the broker cannot be reached, or closed the connection: {error!r}")
