"""nginx with one worker, on a free port: says where it listens, as our servers do. nginx.py FOLDER serves the files of a
folder, and at /hello 13 bytes; nothing is logged, and connections are kept for any number of requests."""

import contextlib
import grp
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

HOST = "127.0.0.1"
CONFIGURATION = """
daemon off;
worker_processes 1;
user {user} {group};
pid {folder}/pid;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  sendfile on;
  keepalive_requests 1000000000;
  default_type application/octet-stream;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen {host}:{port};
    root {files};
    location = /hello {{ default_type text/plain; return 200 "Hello, World!"; }}
  }}
}}
"""
BAD_USAGE = 2  # taken for: there is no such server


def free_port():
    with socket.create_server((HOST, 0)) as probe:
        return probe.getsockname()[1]


def accepts(port):
    with contextlib.suppress(ConnectionRefusedError), socket.create_connection((HOST, port)):
        return True


program = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin")
if not program:
    print("there is no nginx; tools/setup --bench installs it", file=sys.stderr)
    sys.exit(BAD_USAGE)
with tempfile.TemporaryDirectory(prefix="sockserv-nginx.") as folder:
    port = free_port()
    log, configuration = pathlib.Path(folder) / "error.log", pathlib.Path(folder) / "nginx.conf"
    configuration.write_text(
        CONFIGURATION.format(
            folder=folder,
            files=sys.argv[1],
            host=HOST,
            port=port,
            user=pwd.getpwuid(os.geteuid()).pw_name,
            group=grp.getgrgid(os.getegid()).gr_name,
        )
    )
    nginx = subprocess.Popen([program, "-c", configuration, "-e", log])
    signal.signal(signal.SIGTERM, lambda *_: nginx.terminate())
    while not accepts(port):
        if nginx.poll() is not None:
            sys.exit(f"nginx has ended with status {nginx.returncode}: {log.read_text().strip()}")
        time.sleep(0.01)
    print(f"listening on tcp://{HOST}:{port}", flush=True)
    sys.exit(nginx.wait())
