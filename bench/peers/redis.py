"""Redis itself, on a free port, without persistence: says where it listens, as our servers do."""

import contextlib
import signal
import socket
import subprocess
import sys
import time

HOST = "127.0.0.1"


def free_port():
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


def accepts(port):
    with contextlib.suppress(ConnectionRefusedError), socket.create_connection((HOST, port)):
        return True


port = free_port()
options = {"--bind": HOST, "--port": str(port), "--save": "", "--appendonly": "no"}
command = ["redis-server", *(word for option in options.items() for word in option)]
try:
    redis = subprocess.Popen(command, stdout=subprocess.DEVNULL)
except FileNotFoundError:
    sys.exit("there is no redis-server; tools/setup --bench installs it")
signal.signal(signal.SIGTERM, lambda *_: redis.terminate())
while not accepts(port):
    if redis.poll() is not None:
        sys.exit(f"redis-server has ended with status {redis.returncode}")
    time.sleep(0.01)
print(f"listening on tcp://{HOST}:{port}", flush=True)
sys.exit(redis.wait())
