"""What is asked of a server: a workload with its numbers."""

import dataclasses

PING_PONG, CONNECT, PIPELINE, COMPUTE, SLEEP, IDLE = WORKLOADS = (
    "ping-pong",
    "connect",
    "pipeline",
    "compute",
    "sleep",
    "idle",
)
DATAGRAM_FAMILIES = ("udp", "unixgram")
FAMILIES = ("tcp", "unix", *DATAGRAM_FAMILIES)
LARGEST_DATAGRAM = 8192  # of a server that has not been told otherwise
DEPTH = 16  # lines in flight on each connection of PIPELINE


@dataclasses.dataclass(frozen=True)
class Case:
    """One workload with its numbers, and over one family of sockets."""

    workload: str
    family: str
    connections: int
    size: int = 64  # bytes of a line
    work: float = 0  # microseconds that a handler of COMPUTE computes, milliseconds that one of SLEEP sleeps

    @property
    def keeps_connections(self):
        """Each client stays connected, so each needs somebody who serves it, all the time."""
        return self.workload != CONNECT and self.family not in DATAGRAM_FAMILIES

    @property
    def makes_sense(self):
        if self.family not in DATAGRAM_FAMILIES:
            return True
        return self.workload in (PING_PONG, COMPUTE, SLEEP) and self.size <= LARGEST_DATAGRAM

    @property
    def needs_our_server(self):
        """Only sockserv's own server works before it answers."""
        return self.workload in (COMPUTE, SLEEP)

    def server_options(self):
        return {COMPUTE: (f"--compute-us={self.work:g}",), SLEEP: (f"--sleep-ms={self.work:g}",)}.get(self.workload, ())

    def load(self):
        """The mode and the options of sockserv-load."""
        mode = self.workload if self.workload in (CONNECT, PIPELINE) else PING_PONG
        options = (f"--depth={DEPTH}",) if mode == PIPELINE else ()
        return (mode, f"--clients={self.connections}", f"--size={self.size}", *options)

    def __str__(self):
        work = {COMPUTE: f" of {self.work:g} µs", SLEEP: f" of {self.work:g} ms"}.get(self.workload, "")
        over = f"{self.workload}{work}, {self.family}, {self.connections:,} connection{'s'[: self.connections != 1]}"
        if self.workload == IDLE:
            return over
        return f"{over}, lines of {size_text(self.size)}" + (f", {DEPTH} in flight" * (self.workload == PIPELINE))


def size_text(size):
    for unit, name in ((1 << 20, "MiB"), (1 << 10, "KiB")):
        if size >= unit and size % unit == 0:
            return f"{size // unit} {name}"
    return f"{size} bytes"
