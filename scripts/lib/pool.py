"""Looks at a pool over HTTP for the scripts, with nothing but Python's standard library.

    pool.py get URL [KEY...]           the JSON behind URL, or the part of it that the keys lead to
    pool.py enable-feature URL NAME    switches a RabbitMQ feature flag on where it is off
"""
import base64
import json
import sys
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


COMMANDS = {"get": get, "enable-feature": enable_feature}

if __name__ == "__main__":
    try:
        COMMANDS[sys.argv[1]](*sys.argv[2:])
    except (urllib.error.URLError, OSError, ValueError, LookupError) as error:
        sys.exit(f"{sys.argv[1]} {' '.join(sys.argv[2:])}: {error}")
