"""Work that reschedules itself: each round hands in the next, some time after its own end.

Payload: {"name": "shop", "round": 1, "rounds": 3, "wait": "2s"}. Unlike the ticks of a schedule, rounds never overlap and
never pile up: the wait is counted from the end of the work.

The successor's id names its round, and it bears `once`. So an attempt that is repeated, since its worker died after handing
the successor in, hands in the same one again, and that does not run twice. A round that cannot hand in its successor fails
and is tried again, so the chain does not break.
"""
import json
import os
import sys
import urllib.request


def work(name, number):
    return {"looked at": name, "round": number}


def hand_in(task):
    body = json.dumps(task).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(os.environ["GATEWAY"] + "/tasks", data=body, headers=headers)
    # Anything but 201 raises, and fails the attempt.
    urllib.request.urlopen(request, timeout=10).close()


payload = json.load(sys.stdin)
name, number = payload["name"], payload["round"]
result = work(name, number)
if number < payload["rounds"]:
    successor = payload | {"round": number + 1}
    hand_in({
        "kind": "poll",
        "queue": os.environ["WARREN_QUEUE"],
        "id": f"poll:{name}:{number + 1}",
        "once": True,
        "delay": payload["wait"],
        "payload": successor,
    })
print(json.dumps(result))
