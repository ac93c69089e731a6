"""Works a backlog of tasks that do nothing off with taskiq.

Usage: taskiq_drain.py TASKS, with AMQP_URL in the environment, in a Python that has taskiq, taskiq-aio-pika and pika. Prints one
JSON object.
"""

import asyncio
import os
import sys
import time

import pika
from measure import work_off
from taskiq_tasks import broker, echo

AT_ONCE = 100


async def enqueue(tasks):
    await broker.startup()
    began = time.monotonic()
    for first in range(0, tasks, AT_ONCE):
        numbers = range(first, min(first + AT_ONCE, tasks))
        await asyncio.gather(*(echo.kicker().with_labels(priority=n % 10).kiq("x" * 198) for n in numbers))
    took = time.monotonic() - began
    await broker.shutdown()
    return took


def main(tasks):
    took = asyncio.run(enqueue(tasks))
    command = [sys.executable, "-m", "taskiq", "worker", "taskiq_tasks:broker", "--workers", "2"]
    command += ["--ack-type", "when_executed", "--log-level", "ERROR"]
    channel = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"])).channel()
    waiting = lambda: channel.queue_declare("peer-taskiq", passive=True).method.message_count  # noqa: E731
    work_off("taskiq", tasks, took, {"worker": command}, waiting)


if __name__ == "__main__":
    main(int(sys.argv[1]))
