"""Renders Markdown to HTML: payload {"markdown": "# Hello"}, result {"html": "<h1>Hello</h1>"}.

A `process` handler: a task comes as a line of JSON, its end goes out as one. The program stays, so the import is paid
once and not for every task. Standard output belongs to the protocol; whatever else is to be said goes to standard error.
"""
import json
import sys

import markdown


def render(payload):
    return {"html": markdown.markdown(payload["markdown"])}


for line in sys.stdin:
    task = json.loads(line)
    try:
        answer = {"id": task["id"], "result": render(task["payload"])}
    except (KeyError, TypeError, AttributeError) as error:
        # The payload is wrong, and will be wrong at the next attempt too.
        answer = {"id": task["id"], "error": f"expected {{\"markdown\": text}}: {error!r}", "retry": False}
    except Exception as error:
        answer = {"id": task["id"], "error": repr(error), "retry": True}
    print(json.dumps(answer), flush=True)
