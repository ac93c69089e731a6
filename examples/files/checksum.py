"""Checksums and compresses one file: payload {"path": "a/b.txt"}, below the folder FILES_IN, into FILES_OUT/a/b.txt.gz.

A `command` handler: the payload on standard input, the result on standard output; exit status 65 for what no further
attempt would change. It may run twice for one task, so the file takes its name only when it is whole.
"""
import gzip
import hashlib
import json
import os
import sys
import tempfile
from pathlib import Path

CHUNK = 1 << 20


def main():
    name = json.load(sys.stdin)["path"]
    source = Path(os.environ["FILES_IN"], name)
    target = Path(os.environ["FILES_OUT"], f"{name}.gz")
    target.parent.mkdir(parents=True, exist_ok=True)
    digest, size = hashlib.sha256(), 0
    with open(source, "rb") as data, tempfile.NamedTemporaryFile(dir=target.parent, prefix=".part-", delete=False) as part:
        with gzip.GzipFile(filename="", fileobj=part, mode="wb", mtime=0) as packed:
            while chunk := data.read(CHUNK):
                digest.update(chunk)
                packed.write(chunk)
                size += len(chunk)
    os.replace(part.name, target)
    print(json.dumps({
        "path": name, "bytes": size, "sha256": digest.hexdigest(), "gzip_bytes": target.stat().st_size,
    }))


try:
    main()
except (FileNotFoundError, IsADirectoryError) as error:
    print(error, file=sys.stderr)
    sys.exit(65)
