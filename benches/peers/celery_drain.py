"""Works a backlog of tasks that do nothing off with Celery, its events watched by Flower.

Usage: celery_drain.py TASKS, with AMQP_URL in the environment, in a Python that has celery and flower. Prints one JSON object.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from celery_tasks import app, echo

TICK = os.sysconf("SC_CLK_TCK")
WARM_UP = 20


def family(root):
    """A process and all that descend from it."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text()
        except OSError:
            continue
        parents[int(stat.parent.name)] = int(text.rsplit(") ", 1)[1].split()[1])
    found = {root}
    while True:
        more = {pid for pid, parent in parents.items() if parent in found} - found
        if not more:
            return found
        found |= more


def processor_seconds(process):
    ticks = 0
    for pid in family(process.pid):
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
        except OSError:
            continue
        ticks += int(fields[11]) + int(fields[12])
    return ticks / TICK


def waiting(channel):
    return channel.queue_declare("peer", passive=True).message_count


def main(tasks):
    began = time.monotonic()
    for number in range(tasks):
        echo.apply_async(("x" * 198,), priority=number % 10)
    enqueue = time.monotonic() - began
    celery = [sys.executable, "-m", "celery", "-A", "celery_tasks"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    flower = subprocess.Popen([*celery, "flower", "--address=127.0.0.1", "--port=15999"], **quiet)
    worker = subprocess.Popen([*celery, "worker", "-E", "--concurrency=2", "--loglevel=ERROR"], **quiet)
    try:
        with app.connection_for_read() as connection:
            channel = connection.default_channel
            while waiting(channel) > tasks - tasks // WARM_UP:
                time.sleep(0.05)
            first, began = waiting(channel), time.monotonic()
            busy = processor_seconds(worker), processor_seconds(flower)
            while (left := waiting(channel)) > 0:
                time.sleep(0.05)
            took, of = time.monotonic() - began, first - left
            # Flower may be behind by a little.
            time.sleep(1)
            cost = [
                (after - before) * 100_000 / of
                for before, after in zip(busy, (processor_seconds(worker), processor_seconds(flower)))
            ]
    finally:
        for process in (worker, flower):
            process.terminate()
        for process in (worker, flower):
            process.wait()
    report = {
        "enqueue_per_second": tasks / enqueue,
        "drain_per_second": of / took,
        "worker_processor_seconds_per_100k": cost[0],
        "flower_processor_seconds_per_100k": cost[1],
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main(int(sys.argv[1]))
