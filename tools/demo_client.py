"""The client of tools/demo: demo_client.py MIXIN URL [MIXIN URL]...

Talks to each server over its socket, checks every answer, and prints a table of who answered, and how fast.
"""

import socket
import sys
import threading
import time

CLIENTS = 3
REQUESTS = 200
ROW = "{:<8}  {:<16}  {:>7}  {:<17}  {:<17}  {:>5}"


class Client:
    """One socket, on which each request waits for its answer."""

    def __init__(self, url):
        scheme, _, where = url.partition("://")
        if scheme in ("tcp", "udp"):
            family = socket.AF_INET
            host, _, port = where.rpartition(":")
            where = (host, int(port))
        else:
            family = socket.AF_UNIX
        self.is_stream = scheme in ("tcp", "unix")
        self.socket = socket.socket(family, socket.SOCK_STREAM if self.is_stream else socket.SOCK_DGRAM)
        self.socket.settimeout(30)
        if scheme == "unixgram":
            self.socket.bind("")  # Linux picks a name, to which the server can reply
        self.socket.connect(where)

    def ask(self, line):
        self.socket.sendall(line.encode() + b"\n")
        answer = self.socket.recv(4096)
        while self.is_stream and not answer.endswith(b"\n"):
            more = self.socket.recv(4096)
            if not more:
                raise ConnectionError(f"the server closed the connection after {answer!r}")
            answer += more
        return answer.decode().rstrip("\n")

    def close(self):
        self.socket.close()


class Conversation(threading.Thread):
    """One client's requests, beside those of others."""

    def __init__(self, url, name):
        super().__init__()
        self.url = url
        self.question = f"hello from {name}"
        self.answers = 0
        self.error = None

    def run(self):
        try:
            client = Client(self.url)
            _, self.process, _, self.thread = client.ask("who").split()
            for _ in range(REQUESTS):
                answer = client.ask(self.question)
                if answer != self.question.upper():
                    raise ValueError(f"asked {self.question!r}, it answered {answer!r}")
                self.answers += 1
            client.close()
        except (OSError, ValueError) as error:
            self.error = error


def visit(mixin, url):
    clients = [Conversation(url, f"client {number}") for number in range(1, CLIENTS + 1)]
    began = time.perf_counter()
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    seconds = time.perf_counter() - began
    for client in clients:
        if client.error:
            sys.exit(f"{url} under {mixin}: {client.error}")
    answers = sum(client.answers for client in clients)
    print(ROW.format(url.partition(":")[0], mixin, answers,
                     ids(client.process for client in clients),
                     ids(client.thread for client in clients),
                     round(seconds * 1e6 / (answers + CLIENTS))), flush=True)


def ids(values):
    """Each once, as many as fit into the column."""
    distinct = list(dict.fromkeys(values))
    text = " ".join(distinct)
    while len(text) > 17:
        distinct.pop()
        text = " ".join(distinct) + " …"
    return text


def main():
    servers = list(zip(sys.argv[1::2], sys.argv[2::2]))
    print(f"""
One handler, {len(servers)} servers. {CLIENTS} clients at once connect to each; every one asks
"who" it is, then sends "hello from client N" {REQUESTS} times to get it in upper case.
""")
    print(ROW.format("socket", "mixin", "answers", "from process", "in thread", "µs"))
    print(ROW.format(*("-" * width for width in (8, 16, 7, 17, 17, 5))))
    for mixin, url in servers:
        visit(mixin, url)
    print("""
µs: microseconds per request, as these clients (in Python) saw it. Forking makes
a process for each connection, but for datagrams one for each packet.""")


main()
