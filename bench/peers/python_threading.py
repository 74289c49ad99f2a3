"""The original: CPython's own socketserver, a thread for each connection, lines sent back."""

import socketserver


class Echo(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            self.wfile.write(line)


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 4096  # sockserv's default; Python's, 5, would have clients wait for retransmissions


with Server(("127.0.0.1", 0), Echo) as server:
    print("listening on tcp://%s:%d" % server.server_address, flush=True)
    server.serve_forever()
