"""What peers have in common that are servers of their own: they are given a free port, and this program says where they
listen, as our servers do."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

HOST = "127.0.0.1"
BAD_USAGE = 2  # taken for: there is no such server


def find(program):
    """Its path; ends this program if there is none."""
    path = shutil.which(program, path=os.environ.get("PATH", os.defpath) + ":/usr/sbin")
    if not path:
        print(f"there is no {program}; tools/setup --bench installs it", file=sys.stderr)
        sys.exit(BAD_USAGE)
    return path


def free_port():
    with socket.create_server((HOST, 0)) as probe:
        return probe.getsockname()[1]


def accepts(port):
    with contextlib.suppress(ConnectionRefusedError), socket.create_connection((HOST, port)):
        return True


def serve(command, port, complaint=lambda: ""):
    """Runs a server until it ends or this program is told to, and ends with its status. `complaint` gives what it says
    of itself if it ends too soon."""
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    signal.signal(signal.SIGTERM, lambda *_: server.terminate())
    while not accepts(port):
        if server.poll() is not None:
            sys.exit(f"{command[0]} has ended with status {server.returncode}: {complaint()}")
        time.sleep(0.01)
    print(f"listening on tcp://{HOST}:{port}", flush=True)
    sys.exit(server.wait())
