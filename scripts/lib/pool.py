"""Looks at a pool over HTTP for the scripts, with nothing but Python's standard library.

    pool.py get URL [KEY...]                        the JSON behind URL, or the part that the keys lead to
    pool.py ready URL                               does the process behind URL say that it is ready?
    pool.py enable-feature URL NAME                 switches a RabbitMQ feature flag on where it is off
    pool.py workers MONITOR N                       waits until N workers live
    pool.py prove PRODUCER MONITOR N                runs a small batch through a pool of N workers
    pool.py burst PRODUCER MONITOR N KIND PAYLOAD   runs N such tasks
    pool.py result PRODUCER MONITOR KIND PAYLOAD RESULT   runs one, and compares its result
    pool.py submit PRODUCER N KIND PAYLOAD          enqueues them, and prints their ids
    pool.py some-done MONITOR IDS                   waits until a few of the ids in that file have succeeded
    pool.py finish MONITOR IDS SECONDS              waits until all of them have
    pool.py single-attempts MONITOR IDS             did each of them succeed at the first attempt?
    pool.py foreign MANAGEMENT MONITOR N            publishes N tasks through the management API, and runs them
    pool.py succeeded MONITOR                       how many tasks have succeeded, of all the monitor knows
    pool.py reach MONITOR N                         waits until that many have
"""
import base64
import json
import os
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid

# What a small batch may take, on a busy machine.
PATIENCE = 90


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
    try:
        with opener.open(asked, timeout=timeout) as answer:
            text = answer.read()
    except urllib.error.HTTPError as error:
        # The reason is in the body (problem+json); the status line alone helps nobody.
        error.msg = f"{error.msg} {error.read(2000).decode(errors='replace')}"
        raise
    return json.loads(text) if text.strip() else None


def get(url, *keys):
    found = request(url)
    for key in keys:
        found = found[int(key)] if isinstance(found, list) else found[key]
    print(found if isinstance(found, str) else json.dumps(found))


def ready(url):
    request(f"{url}/ready", timeout=3)


def enable_feature(url, name):
    flags = request(f"{url}/api/feature-flags")
    if any(flag["name"] == name and flag["state"] == "disabled" for flag in flags):
        request(f"{url}/api/feature-flags/{name}/enable", {"name": name}, "PUT")


def workers(monitor, number):
    wait_until(f"{number} workers in {monitor}/api/workers", lambda: len(living(monitor)) == int(number))
    print(f"{number} workers")


def prove(producer, monitor, number):
    """Through every part at once: gateway, broker, workers, event log, projection, API."""
    workers(monitor, number)
    tasks = [{"kind": "echo", "payload": {"proof": n}} for n in range(20)]
    tasks += [{"kind": "sleep", "payload": {"ms": 300}} for _ in range(4)]
    await_success(monitor, enqueue(producer, tasks))


def burst(producer, monitor, number, kind, payload):
    await_success(monitor, enqueue(producer, alike(number, kind, payload)))


def result(producer, monitor, kind, payload, wanted):
    [id] = enqueue(producer, alike(1, kind, payload))
    await_success(monitor, [id])
    found = request(f"{monitor}/api/tasks/{id}")["result"]
    if found != json.loads(wanted):
        raise ValueError(f"expected the result {wanted}, found {json.dumps(found)}")


def submit(producer, number, kind, payload):
    print("\n".join(enqueue(producer, alike(number, kind, payload))))


def some_done(monitor, ids):
    wanted = read_ids(ids)[:5]
    await_success(monitor, wanted)


def finish(monitor, ids, seconds):
    await_success(monitor, read_ids(ids), int(seconds))


def single_attempts(monitor, ids):
    for id in read_ids(ids):
        attempts = request(f"{monitor}/api/tasks/{id}")["attempts"]
        if len(attempts) != 1:
            raise ValueError(f"task {id} had {len(attempts)} attempts: {attempts}")


def foreign(management, monitor, number):
    ids = [str(uuid.uuid4()) for _ in range(int(number))]
    for id in ids:
        message = {
            "properties": {"message_id": id, "type": "echo", "delivery_mode": 2, "content_type": "application/json"},
            "routing_key": "default",
            "payload": json.dumps({"door": "management"}),
            "payload_encoding": "string",
        }
        if not request(f"{management}/api/exchanges/%2f/warren.tasks/publish", message)["routed"]:
            raise ValueError("the broker did not route the message")
    await_success(monitor, ids)


def succeeded(monitor):
    print(count_succeeded(monitor))


def reach(monitor, number):
    wait_until(f"{number} tasks to have succeeded", lambda: count_succeeded(monitor) >= int(number))


# --- what the commands are made of


def alike(number, kind, payload):
    return [{"kind": kind, "payload": json.loads(payload)} for _ in range(int(number))]


def enqueue(producer, tasks):
    """Gives a batch to the gateway; it answers once the broker has confirmed. Returns the tasks' ids."""
    return [task["id"] for task in request(f"{producer}/tasks", tasks, timeout=60)]


def read_ids(path):
    with open(path, encoding="utf-8") as lines:
        return lines.read().split()


def await_success(monitor, ids, seconds=PATIENCE):
    """Waits until the monitor says of each id that it has succeeded, and names one that has not."""
    waiting = list(ids)

    def settled():
        waiting[:] = [id for id in waiting if state_of(monitor, id) != "succeeded"]
        print(f"{len(ids) - len(waiting)} of {len(ids)} tasks succeeded", flush=True)
        return not waiting

    def stands():
        return f"{len(waiting)} of {len(ids)} tasks to succeed, {waiting[0]} among them: {state_of(monitor, waiting[0])}"

    wait_until(stands, settled, seconds)


def state_of(monitor, id):
    return known(lambda: request(f"{monitor}/api/tasks/{id}")["state"])


def living(monitor):
    answer = known(lambda: request(f"{monitor}/api/workers")["workers"]) or []
    return [worker for worker in answer if worker["health"] == "alive"]


def count_succeeded(monitor):
    return request(f"{monitor}/api/overview")["states"]["succeeded"]


def known(ask):
    """None while the answer is not there yet: an unknown task, or a monitor whose Redis is away for a moment."""
    try:
        return ask()
    except urllib.error.HTTPError as error:
        if error.code in (404, 503):
            return None
        raise


def wait_until(what, condition, seconds=PATIENCE):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds} s in vain for {what() if callable(what) else what}")
        time.sleep(0.2)


COMMANDS = {
    "get": get, "ready": ready, "enable-feature": enable_feature, "workers": workers, "prove": prove, "burst": burst,
    "result": result, "submit": submit, "some-done": some_done, "finish": finish, "single-attempts": single_attempts,
    "foreign": foreign, "succeeded": succeeded, "reach": reach,
}

if __name__ == "__main__":
    try:
        COMMANDS[sys.argv[1]](*sys.argv[2:])
    except (OSError, ValueError, LookupError) as error:
        sys.exit(f"{sys.argv[1]}: {error}")
