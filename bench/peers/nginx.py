"""nginx on a free port. nginx.py FOLDER [WORKERS] serves the files of a folder, and at /hello 13 bytes, with one worker
unless more are asked for; nothing is logged, and connections are kept for any number of requests."""

import grp
import os
import pathlib
import pwd
import sys
import tempfile

from foreign import HOST, find, free_port, serve

CONFIGURATION = """
daemon off;
worker_processes {workers};
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

program = find("nginx")
with tempfile.TemporaryDirectory(prefix="sockserv-nginx.") as folder:
    port = free_port()
    log, configuration = pathlib.Path(folder) / "error.log", pathlib.Path(folder) / "nginx.conf"
    configuration.write_text(
        CONFIGURATION.format(
            folder=folder,
            files=sys.argv[1],
            workers=sys.argv[2] if len(sys.argv) > 2 else 1,
            host=HOST,
            port=port,
            user=pwd.getpwuid(os.geteuid()).pw_name,
            group=grp.getgrgid(os.getegid()).gr_name,
        )
    )
    serve([program, "-c", str(configuration), "-e", str(log)], port, log.read_text)
