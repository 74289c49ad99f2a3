"""Measures candidates at cases, in rounds in which all take turns."""

import contextlib
import dataclasses
import shutil
import sys
import time

from .candidates import Candidate
from .laboratory import Absent, Failure, IdleLoad
from .workloads import IDLE, Case

ENOUGH = 10  # requests beyond a percentile, for it to say anything
REMAINDERS = {"p50": 0.5, "p90": 0.1, "p99": 0.01, "p99.9": 0.001, "max": float("inf")}


@dataclasses.dataclass
class Measurement:
    """A candidate at a case: the figures of each round, or why there are none."""

    candidate: Candidate
    case: Case
    workers: int | None
    rounds: list = dataclasses.field(default_factory=list)
    absent: str | None = None  # why it could not be measured, and never will on this machine
    failure: str | None = None  # what went wrong

    @property
    def is_over(self):
        return self.absent is not None or self.failure is not None


class Progress:
    """A bar on standard error, if that is a terminal."""

    def __init__(self, total):
        self.total = total
        self.done = 0
        self.begin = time.monotonic()
        self.shown = sys.stderr.isatty()

    def show(self, what):
        if not self.shown:
            return
        share = self.done / self.total
        passed = time.monotonic() - self.begin
        left = f"{passed / share - passed:.0f} s left" if self.done > 2 else ""
        bar = f"[{'#' * int(share * 30):<30}] {share:4.0%}  {left:<11} {what}"
        print("\r" + bar[: shutil.get_terminal_size().columns - 1] + "\x1b[K", end="", file=sys.stderr, flush=True)

    def step(self):
        self.done += 1

    def end(self):
        if self.shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


class Measuring:
    def __init__(self, laboratory, candidates, cases, rounds, seconds, workers=None):
        self.laboratory = laboratory
        self.rounds = rounds
        self.seconds = seconds
        self.measurements = []
        for case in cases:
            for candidate in candidates:
                count = candidate.workers_for(case, workers, len(laboratory.server_cores))
                self.measurements.append(
                    Measurement(candidate, case, count, absent=candidate.refusal(case, count))
                )

    def run(self):
        """Measures everything; on Ctrl-C, what has been measured so far remains."""
        todo = [measurement for measurement in self.measurements if not measurement.is_over]
        progress = Progress(max(1, self.rounds * len(todo)))
        try:
            for round_number in range(self.rounds):
                # Each round begins elsewhere, lest it matter who is when.
                first = len(todo) * round_number // self.rounds
                for measurement in todo[first:] + todo[:first]:
                    progress.show(f"{measurement.candidate.name}: {measurement.case}")
                    if not measurement.is_over:
                        self._measure(measurement)
                    progress.step()
        finally:
            progress.end()

    def _measure(self, measurement):
        case = measurement.case
        command = measurement.candidate.command_for(case, measurement.workers)
        try:
            with self.laboratory.server(command) as server:
                figures = self._idle(server, case) if case.workload == IDLE else self._load(server, case)
            measurement.rounds.append(figures)
        except Absent as absent:
            measurement.absent = str(absent)
        except Failure as failure:
            measurement.failure = str(failure)

    def _load(self, server, case):
        figures = self.laboratory.load(server, *case.load(), seconds=self.seconds, strict=False)
        latency = {
            f"{name} us": value
            for name, value in figures["latency_us"].items()
            if figures["requests"] * REMAINDERS[name] >= ENOUGH
        }
        errors = figures["errors"] + figures["stalled"]
        return {"rate": figures["rate"], **latency, "cpu us": figures["cpu_us"], "errors": errors, "lost": figures["lost"]}

    def _idle(self, server, case):
        before = self._settled(server)
        load = IdleLoad(self.laboratory, server.url, case.connections, cores=self.laboratory.load_cores)
        with contextlib.ExitStack() as at_end:
            at_end.callback(load.kill)
            taken = server.memory() - before
            load.end()
        return {"KiB each": taken / case.connections / 1024}

    def _settled(self, server):
        """The server's memory once it starts no more threads and processes, whose own is not that of connections."""
        deadline = time.monotonic() + 5
        before = None
        while (now := (server.tasks(), server.memory())) != before and time.monotonic() < deadline:
            before = now
            time.sleep(0.1)
        return now[1]
