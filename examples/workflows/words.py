"""A handler for the steps of words.yaml: counts words in texts, and finds the most frequent one."""

import collections
import json
import sys

TEXTS = [
    "the hare and the hedgehog",
    "the wolf and the seven kids",
    "hansel and gretel",
]


def handle(task):
    # A chunk is a list of texts.
    if isinstance(task, list):
        return [collections.Counter(text.split()) for text in task]
    # A step after others gets {"input": its own payload, "results": {step: result}}.
    if "results" in task:
        total = collections.Counter()
        for counts in task["results"]["count"]:
            total.update(counts)
        word, times = total.most_common(1)[0]
        return {"word": word, "times": times}
    return TEXTS


print(json.dumps(handle(json.load(sys.stdin))))
