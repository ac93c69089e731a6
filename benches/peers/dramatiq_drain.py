"""Works a backlog of tasks that do nothing off with Dramatiq.

Usage: dramatiq_drain.py TASKS, with AMQP_URL in the environment, in a Python that has dramatiq[rabbitmq]. Prints one JSON object.
"""

import sys
import time

from dramatiq_tasks import broker, echo
from measure import work_off


def main(tasks):
    began = time.monotonic()
    for number in range(tasks):
        echo.send_with_options(args=("x" * 198,), broker_priority=number % 10)
    took = time.monotonic() - began
    # As many messages on their way to each process as it asks for by itself.
    command = [sys.executable, "-m", "dramatiq", "dramatiq_tasks", "--processes", "2", "--threads", "8"]
    waiting = lambda: broker.get_queue_message_counts("peer-dramatiq")[0]  # noqa: E731
    work_off("dramatiq", tasks, took, {"worker": command}, waiting)


if __name__ == "__main__":
    main(int(sys.argv[1]))
