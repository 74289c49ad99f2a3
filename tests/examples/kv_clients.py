"""Clients that programs use, against kv_server: kv_clients.py redis-py|ioredis|node-redis. Status 77: it is absent."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys

from case import port_of
from server import Server, run

HERE = pathlib.Path(__file__).resolve().parent / "kv_server"
SKIPPED = 77
KEYS = 3000
EXPECTED = {
    "name": "me",
    "value": "hello",
    "missing": None,
    "pipelined": KEYS,
    "scanned": KEYS,
    "error": "value is not an integer or out of range",
    "other database": "DB index is out of range",
}
# Where Debian and npm put modules, which other programs do not look for by themselves.
MODULES = ("/usr/share/nodejs", "/usr/lib/nodejs", "/usr/lib/node_modules", "/usr/local/lib/node_modules")
NODE = {**os.environ, "NODE_PATH": os.pathsep.join(filter(None, (os.environ.get("NODE_PATH"), *MODULES)))}


def succeeds(*command, **settings):
    return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **settings).returncode == 0


def python_client():
    """The command of a client; nothing if there is none."""
    for python in (sys.executable, "/usr/bin/python3"):
        if shutil.which(python) and succeeds(python, "-c", "import redis"):
            return [python, str(HERE / "client.py")]
    return None


def node_client(library):
    if not shutil.which("node") or not succeeds("node", "-e", f"require('{library}')", env=NODE):
        return None
    return ["node", str(HERE / "client.js"), library]


CLIENTS = {
    "redis-py": (python_client, "Debian has it as python3-redis"),
    "ioredis": (lambda: node_client("ioredis"), "npm install --global ioredis@5"),
    "node-redis": (lambda: node_client("redis"), "Debian has it as node-redis"),
}


def main():
    find, hint = CLIENTS[sys.argv[1]]
    command = find()
    if not command:
        print(f"skipped: there is no {sys.argv[1]}: {hint}")
        return SKIPPED
    for mixin in ("threading", "fiber"):
        with Server("kv_server", "--listen", "tcp://127.0.0.1:0", "--mixin", mixin) as server:
            result = run(*command, port_of(server), str(KEYS), env=NODE)
            assert (result.returncode, result.stderr) == (0, ""), f"{mixin}: {result.returncode}: {result.stderr}"
            found = json.loads(result.stdout)
            assert found == EXPECTED, f"{mixin}: {found}"
            server.end(signal.SIGTERM)
    return 0


if __name__ == "__main__":
    sys.exit(main())
