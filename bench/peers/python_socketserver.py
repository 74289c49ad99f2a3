"""The original: CPython's own socketserver, a thread or a process for each connection, lines sent back.

python3 python_socketserver.py threading|forking [no-delay]
"""

import socketserver
import sys


class Echo(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = "no-delay" in sys.argv

    def handle(self):
        for line in self.rfile:
            self.wfile.write(line)


class ThreadingServer(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 4096  # sockserv's default; Python's, 5, would have clients wait for retransmissions


class ForkingServer(socketserver.ForkingTCPServer):
    block_on_close = False
    max_children = 20_000  # Python's default, 40, would have the 41st client wait
    request_queue_size = 4096


servers = {"threading": ThreadingServer, "forking": ForkingServer}
with servers[sys.argv[1]](("127.0.0.1", 0), Echo) as server:
    print("listening on tcp://%s:%d" % server.server_address, flush=True)
    server.serve_forever()
