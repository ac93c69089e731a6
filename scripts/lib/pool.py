"""Looks at a pool over HTTP for the scripts, with nothing but Python's standard library.

    pool.py get URL [KEY...]           the JSON behind URL, or the part of it that the keys lead to
    pool.py ready URL                  does the process behind URL say that it is ready?
    pool.py prove PRODUCER MONITOR N   runs a small batch through a pool of N workers
    pool.py enable-feature URL NAME    switches a RabbitMQ feature flag on where it is off
"""
import base64
import json
import os
import sys
import time
import urllib.error
import urllib.parse
import urllib.request


def request(url, body=None, method=None, timeout=10):
    """Asks URL (which may carry user:password@) and returns the parsed JSON, or None for an empty answer."""
    parts = urllib.parse.urlsplit(url)
    plain = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    asked = urllib.request.Request(plain, method=method)
    if body is not None:
        asked.data = json.dumps(body).encode()
        asked.add_header("content-type", "application/json")
    if parts.username:
        login = f"{parts.username}:{parts.password}".encode()
        asked.add_header("authorization", "Basic " + base64.b64encode(login).decode())
    elif token := os.environ.get("WARREN_HTTP__TOKEN"):
        asked.add_header("authorization", f"Bearer {token}")
    # Loopback only: a proxy from the environment has no business in between.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(asked, timeout=timeout) as answer:
        text = answer.read()
    return json.loads(text) if text.strip() else None


def get(url, *keys):
    found = request(url)
    for key in keys:
        found = found[int(key)] if isinstance(found, list) else found[key]
    print(found if isinstance(found, str) else json.dumps(found))


def enable_feature(url, name):
    base = url.replace("http://", "http://guest:guest@")
    flags = request(f"{base}/api/feature-flags")
    if any(flag["name"] == name and flag["state"] == "disabled" for flag in flags):
        request(f"{base}/api/feature-flags/{name}/enable", {"name": name}, "PUT")


def ready(url):
    request(f"{url}/ready", timeout=3)


def prove(producer, monitor, workers):
    """Through every part at once: gateway, broker, workers, event log, projection, API."""
    until = time.monotonic() + 90
    wait_until(until, f"{workers} workers in {monitor}/api/workers", lambda: len(living(monitor)) >= int(workers))
    tasks = [{"kind": "echo", "payload": {"proof": number}} for number in range(20)]
    tasks += [{"kind": "sleep", "payload": {"ms": 300}} for _ in range(4)]
    ids = submit(producer, tasks)
    finish(monitor, ids, until)
    print(f"{len(ids)} of {len(ids)} tasks succeeded on {len(living(monitor))} workers")


def submit(producer, tasks):
    """Gives a batch to the gateway; it answers once the broker has confirmed. Returns the tasks' ids."""
    answer = request(f"{producer}/tasks", tasks, timeout=60)
    return [task["id"] for task in (answer["tasks"] if isinstance(answer, dict) else answer)]


def finish(monitor, ids, until, state="succeeded"):
    """Waits until the monitor says of each id that it is in that state, and names one that is not."""
    waiting = list(ids)

    def settled():
        waiting[:] = [id for id in waiting if state_of(monitor, id) != state]
        print(f"{len(ids) - len(waiting)} of {len(ids)} {state}", flush=True)
        return not waiting

    def stands():
        return f"task {waiting[0]} to be {state} ({len(waiting)} are not): {request(f'{monitor}/api/tasks/{waiting[0]}')}"

    wait_until(until, stands, settled)


def state_of(monitor, id):
    try:
        return request(f"{monitor}/api/tasks/{id}")["state"]
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return "unknown"
        raise


def living(monitor):
    answer = request(f"{monitor}/api/workers")
    workers = answer["workers"] if isinstance(answer, dict) else answer
    return [worker for worker in workers if worker["state"] not in ("lost", "stopped")]


def wait_until(deadline, what, condition):
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited in vain for {what() if callable(what) else what}")
        time.sleep(0.2)


COMMANDS = {"get": get, "ready": ready, "prove": prove, "enable-feature": enable_feature}

if __name__ == "__main__":
    try:
        COMMANDS[sys.argv[1]](*sys.argv[2:])
    except (urllib.error.URLError, OSError, ValueError, LookupError) as error:
        sys.exit(f"{sys.argv[1]} {' '.join(sys.argv[2:])}: {error}")
