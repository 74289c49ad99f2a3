"""The servers that can be measured: sockserv under each mixin, plain loops, and other frameworks."""

import dataclasses
import os
import sys

from .laboratory import BENCH
from .workloads import CONNECT, DATAGRAM_FAMILIES, FAMILIES, Case, size_text

WORKER_FOR_EACH = ("thread_pool", "forking", "preforking")  # connection
PEERS = BENCH / "peers"


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A server. Its program is looked for beside sockserv-bench unless `command` has a path, then in PATH."""

    name: str
    command: tuple
    kind: str = "peer"  # or "mixin" or "limit"
    families: tuple = ("tcp",)
    most_connections: int = 10_000  # and workers, that do not take the machine's memory
    longest_line: int = 1 << 30
    version: tuple = ()  # a command whose first line says it

    def workers_for(self, case: Case, chosen, cores):
        """How many threads, processes or loops it is told to have; `chosen`: as the user has said, or None."""
        if self.kind != "mixin" or self.name in ("none", "threading"):
            return None
        if chosen:
            return chosen
        if self.name in ("fiber", "preforking_fiber"):
            return cores
        if case.family in DATAGRAM_FAMILIES:
            return min(case.connections, 64)
        # A client connects anew before the worker of its last connection has noticed that it is over.
        return case.connections * 2 if case.workload == CONNECT else case.connections

    def refusal(self, case: Case, workers):
        """Why it cannot be measured at this; None if it can."""
        if case.family not in self.families:
            return f"no {case.family} sockets here"
        if self.kind != "mixin" and case.needs_our_server:
            return "only answers"
        if case.size > self.longest_line:
            return f"lines of no more than {size_text(self.longest_line)}"
        if max(case.connections * case.keeps_connections, workers or 0) > self.most_connections:
            return f"no more than {self.most_connections:,} at a time"
        if not case.keeps_connections or case.connections == 1:
            return None
        if self.name == "none":
            return "serves one connection at a time"
        if self.name in WORKER_FOR_EACH and workers < case.connections:
            return f"{workers} workers serve as many connections at a time"
        return None

    def command_for(self, case: Case, workers):
        """The command that starts it."""
        if self.kind != "mixin":
            return self.command
        address = "127.0.0.1:0" if case.family in ("tcp", "udp") else f"@sockserv-bench-{os.getpid()}"
        options = ["--listen", f"{case.family}://{address}", "--mixin", self.name, *case.server_options()]
        return (*self.command, *options, *([f"--workers={workers}"] if workers else []))


def mixin(name, most_connections=10_000):
    return Candidate(name, ("sockserv-bench-server",), "mixin", FAMILIES, most_connections)


def python(name, script, *arguments, **others):
    command = (sys.executable, str(PEERS / script), *arguments)
    return Candidate(name, command, version=(sys.executable, "--version"), **others)


MIXINS = (
    mixin("none"),
    mixin("threading"),
    mixin("thread_pool"),
    mixin("forking", 1000),
    mixin("preforking", 1000),
    mixin("fiber"),
    mixin("preforking_fiber"),
)
# "raw": sends back what it receives, in as few calls as it came; the others find lines and send each back.
LIMITS = (
    Candidate("plain epoll raw", ("plain_epoll", "no-delay"), "limit", longest_line=8192),
    Candidate("plain threads", ("plain_threads", "no-delay"), "limit", longest_line=8192),
    Candidate("plain fork", ("plain_fork", "no-delay"), "limit", most_connections=1000, longest_line=8192),
)
ASIO_VERSION = ("sed", "-n", 's/^#define BOOST_LIB_VERSION "\\(.*\\)"/Boost \\1/p', "/usr/include/boost/version.hpp")
PEER_SERVERS = (
    python("CPython threading", "python_socketserver.py", "threading", "no-delay"),
    python("CPython forking", "python_socketserver.py", "forking", "no-delay", most_connections=1000),
    python("CPython asyncio", "python_asyncio.py"),
    Candidate("POCO", ("peer_poco",), version=("dpkg-query", "-W", "-f", "${Version}", "libpoco-dev")),
    Candidate("Go", ("peer_go",), version=("go", "version")),
    Candidate("Asio callbacks raw", ("peer_asio_callbacks",), version=ASIO_VERSION),
    Candidate("Asio spawn", ("peer_asio_spawn",), version=ASIO_VERSION),
    Candidate("Asio coroutines", ("peer_asio_coroutines",), version=ASIO_VERSION),
    Candidate("libevent raw", ("peer_libevent",), version=("pkg-config", "--modversion", "libevent")),
    Candidate("Node.js raw", ("node", str(PEERS / "node.js")), version=("node", "--version")),
)
