"""Rows of a comparison: two servers, measured in turn, and the ratio of their figures."""

import dataclasses
import os
import platform
import statistics

from .laboratory import Absent, Failure, argument_parser


def rate(figures):
    return figures["rate"]


def p99(figures):
    return figures["latency_us"]["p99"]


@dataclasses.dataclass
class Row:
    """A comparison of two servers."""

    name: str
    server: tuple  # a command; its program is looked for in --bin
    yardstick: tuple
    load: tuple  # of sockserv-load; a row with another load overrides measure()
    target: float | None = None  # None: for information
    figure: object = rate  # of what the ratio is; a p99 is good if it is low

    def measure(self, laboratory, command, seconds):
        """The figures of one of the servers: "rate", "latency_us" and "busy"."""
        with laboratory.server(command) as server:
            return laboratory.load(server, *self.load, seconds=seconds)

    def meets(self, ratio):
        return self.target is None or (ratio >= self.target if self.figure is rate else ratio <= self.target)

    def target_text(self):
        return "" if self.target is None else f"{'>=' if self.figure is rate else '<='} {self.target:.2f}"


def measure_pairs(laboratory, row, arguments):
    """Figures of (server, yardstick). Every second pair begins with the yardstick, in case order matters."""
    for i in range(arguments.rounds):
        pair = [row.server, row.yardstick]
        order = pair if i % 2 == 0 else pair[::-1]
        figures = [row.measure(laboratory, command, arguments.seconds) for command in order]
        yield figures if i % 2 == 0 else figures[::-1]


LINE = "{:<52} {:>9} {:>9} {:>6} {:>13} {:>7} {:>7} {:>7} {:>7} {:>6}  {}"
HEADINGS = (
    LINE.format("row", "sockserv", "yardstick", "ratio", "spread", "target", "p99", "p99 of", "busy", "by CPU", ""),
    LINE.format("", "per s", "per s", "", "", "", "us", "yardst.", "%", "", ""),
)


def report_pairs(laboratory, row, arguments):
    """Measures a row and prints its figures; returns whether it met its target."""
    pairs = list(measure_pairs(laboratory, row, arguments))

    def median(of):
        return [statistics.median(of(figures) for figures in side) for side in zip(*pairs)]

    def ratios(of):
        return [of(server) / of(yardstick) for server, yardstick in pairs]

    rates, latencies, busy = median(rate), median(p99), median(lambda figures: figures["busy"] * 100)
    figure = ratios(row.figure)
    by_cpu = ratios(lambda figures: figures["rate"] / figures["busy"])
    met = row.meets(statistics.median(figure))
    print(
        LINE.format(
            row.name,
            f"{rates[0]:.0f}",
            f"{rates[1]:.0f}",
            f"{statistics.median(figure):.3f}",
            f"{min(figure):.3f}-{max(figure):.3f}",
            row.target_text(),
            f"{latencies[0]:.0f}",
            f"{latencies[1]:.0f}",
            f"{busy[0]:.0f}/{busy[1]:.0f}",
            f"{statistics.median(by_cpu):.3f}",
            "" if met else "MISSED",
        ).rstrip()
    )
    return met


def report_all(laboratory, arguments, rows, headings, report):
    """Measures rows of a kind; returns an exit status."""
    rows = [row for row in rows if arguments.only in row.name]
    if rows:
        print("", *(heading.rstrip() for heading in headings), sep="\n")
    status = 0
    for row in rows:
        try:
            met = report(laboratory, row, arguments)
            status = status or (0 if met else 3)
        except Failure as failure:
            print(f"{row.name:<52}    {'absent' if isinstance(failure, Absent) else 'not measured'}: {failure}")
            status = status if row.target is None or isinstance(failure, Absent) else 1
    return status


def parse_arguments(description, rows, extend=lambda parser: None):
    parser = argument_parser(description)
    extend(parser)
    parser.add_argument("--rounds", type=int, default=5, help="pairs for each row (default: 5)")
    parser.add_argument("--seconds", type=float, default=2, help="length of each measurement (default: 2)")
    parser.add_argument("--only", default="", help="only the rows whose name contains this")
    arguments = parser.parse_args()
    if arguments.rounds < 1 or not 0.1 <= arguments.seconds <= 60:
        parser.error("at least 1 round, of 0.1 to 60 seconds")
    if not any(arguments.only in row.name for row in rows):
        parser.error(f"no row's name contains {arguments.only!r}")
    return arguments


def print_conditions(arguments):
    print(f"Linux {platform.release()}, Python {platform.python_version()}, load average {os.getloadavg()[0]:.1f}")
    print(f"{arguments.rounds} pairs of {arguments.seconds:g} s each")
