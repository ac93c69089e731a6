"""Works a backlog off with somebody else's worker, and says how fast that was and what it cost."""

import contextlib
import json
import os
import subprocess
import time
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")
WARM_UP = 20
PATIENCE = 300


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


@contextlib.contextmanager
def running(commands):
    """Processes by their names, ended afterwards."""
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    processes = {}
    try:
        for name, command in commands.items():
            processes[name] = subprocess.Popen(command, cwd=Path(__file__).parent, **quiet)
        yield processes
    finally:
        for process in processes.values():
            process.terminate()
        for process in processes.values():
            process.wait()


def work_off(peer, tasks, enqueue_seconds, commands, waiting):
    """Starts the commands; `waiting` says how many tasks lie in the queue. Prints one JSON object."""
    deadline = time.monotonic() + PATIENCE

    def until(left):
        while (now := waiting()) > left:
            if time.monotonic() > deadline:
                raise SystemExit(f"{peer}: {now} tasks are left after {PATIENCE} s")
            time.sleep(0.05)
        return now

    with running(commands) as processes:
        first, began = until(tasks - tasks // WARM_UP), time.monotonic()
        busy = {name: processor_seconds(process) for name, process in processes.items()}
        of = first - until(0)
        took = time.monotonic() - began
        # Who only looks on may be behind by a little.
        time.sleep(1)
        cost = {
            f"{name}_processor_seconds_per_100k": (processor_seconds(process) - busy[name]) * 100_000 / of
            for name, process in processes.items()
        }
    print(json.dumps({"peer": peer, "enqueue_per_second": tasks / enqueue_seconds, "drain_per_second": of / took, **cost}))
