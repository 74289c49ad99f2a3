"""The servers that can be measured: sockserv under each mixin, plain loops, and other frameworks."""

import dataclasses
import os
import pathlib
import subprocess
import sys

from .workloads import CONNECT, DATAGRAM_FAMILIES, FAMILIES, Case

PEERS = pathlib.Path(__file__).resolve().parent.parent / "peers"


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A server. Its program is looked for beside sockserv-bench unless `command` has a path, then in PATH."""

    name: str
    command: tuple
    kind: str = "peer"  # or "mixin" or "limit"
    families: tuple = ("tcp",)
    most_connections: int = 10_000  # that it can be asked to serve without taking the machine's memory
    version: tuple = ()  # a command whose first line says it

    def refusal(self, case: Case):
        """Why it cannot be measured at this; None if it can."""
        if case.family not in self.families:
            return f"no {case.family} sockets here"
        if self.kind != "mixin" and case.needs_our_server:
            return "only answers"
        if self.name == "none" and case.keeps_connections and case.connections > 1:
            return "serves one connection at a time"
        if case.keeps_connections and case.connections > self.most_connections:
            return f"no more than {self.most_connections:,} connections"
        return None

    def command_for(self, case: Case, workers, cores):
        """The command that starts it; `workers`: as the user has said, or None."""
        if self.kind != "mixin":
            return self.command
        address = "127.0.0.1:0" if case.family in ("tcp", "udp") else f"@sockserv-bench-{os.getpid()}"
        options = ["--listen", f"{case.family}://{address}", "--mixin", self.name, *case.server_options()]
        needed = workers or self._workers_needed(case, cores)
        return (*self.command, *options, *([f"--workers={needed}"] if needed else []))

    def _workers_needed(self, case, cores):
        if self.name in ("none", "threading"):
            return None
        if self.name in ("fiber", "preforking_fiber"):
            return cores
        if case.family in DATAGRAM_FAMILIES:
            return case.connections
        # A client connects anew before the worker of its last connection has noticed that it is over.
        return case.connections * 2 if case.workload == CONNECT else case.connections

    def version_text(self):
        """What the machine has of it."""
        if not self.version:
            return None
        try:
            done = subprocess.run(self.version, capture_output=True, text=True, timeout=10)
        except OSError:
            return None
        return done.stdout.partition("\n")[0].strip() if done.returncode == 0 else None


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
LIMITS = (
    Candidate("plain epoll", ("plain_epoll",), "limit"),
    Candidate("plain threads", ("plain_threads",), "limit"),
    Candidate("plain fork", ("plain_fork",), "limit", most_connections=1000),
)
PEER_SERVERS = (
    python("CPython threading", "python_socketserver.py", "threading"),
    python("CPython forking", "python_socketserver.py", "forking", most_connections=1000),
    python("CPython asyncio", "python_asyncio.py"),
    Candidate("POCO", ("peer_poco",), version=("dpkg-query", "-W", "-f", "${Version}", "libpoco-dev")),
    Candidate("Go", ("peer_go",), version=("go", "version")),
    Candidate("Asio callbacks", ("peer_asio_callbacks",)),
    Candidate("Asio spawn", ("peer_asio_spawn",)),
    Candidate("Asio coroutines", ("peer_asio_coroutines",)),
    Candidate("libevent", ("peer_libevent",), version=("pkg-config", "--modversion", "libevent")),
    Candidate("Node.js", ("node", str(PEERS / "node.js")), version=("node", "--version")),
)
