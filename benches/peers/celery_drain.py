"""Works a backlog of tasks that do nothing off with Celery, its events watched by Flower.

Usage: celery_drain.py TASKS, with AMQP_URL in the environment, in a Python that has celery and flower. Prints one JSON object.
"""

import sys
import time

from celery_tasks import app, echo
from measure import work_off


def main(tasks):
    began = time.monotonic()
    for number in range(tasks):
        echo.apply_async(("x" * 198,), priority=number % 10)
    took = time.monotonic() - began
    celery = [sys.executable, "-m", "celery", "-A", "celery_tasks"]
    commands = {
        "flower": [*celery, "flower", "--address=127.0.0.1", "--port=15999"],
        "worker": [*celery, "worker", "-E", "--concurrency=2", "--loglevel=ERROR"],
    }
    with app.connection_for_read() as connection:
        channel = connection.default_channel
        waiting = lambda: channel.queue_declare("peer", passive=True).message_count  # noqa: E731
        work_off("celery", tasks, took, commands, waiting)


if __name__ == "__main__":
    main(int(sys.argv[1]))
