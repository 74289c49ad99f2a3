"""The charts of a run, as values that plot.py and the HTML page draw alike."""

import dataclasses

from .workloads import IDLE, size_text

PERCENTILES = ("p50", "p90", "p99", "p99.9", "max")


@dataclasses.dataclass(frozen=True)
class Series:
    """A line, or a group of bars. `x` are names or numbers; the spread goes from `low` to `high`."""

    name: str
    x: tuple
    y: tuple
    low: tuple
    high: tuple


@dataclasses.dataclass(frozen=True)
class Chart:
    name: str  # of a file
    title: str
    kind: str  # "bars": x are names; "lines": x are numbers if x_is_number, else names
    x_label: str
    y_label: str
    series: tuple
    x_is_number: bool = False  # on a logarithmic axis
    y_is_logarithmic: bool = False


def measured(results, case):
    return [result for result in results.of(case) if result.figures]


def bars(results, case, figure, name, title, label):
    """A bar for each server, those of a kind in a series of their own."""
    series = []
    of_kind = {"mixin": "sockserv", "peer": "other frameworks", "limit": "plain loops"}
    for kind, series_name in of_kind.items():
        these = [result for result in measured(results, case) if result.kind == kind]
        if these:
            figures = [result.figures[figure] for result in these]
            series.append(
                Series(
                    series_name,
                    tuple(result.server for result in these),
                    tuple(each["median"] for each in figures),
                    tuple(each["least"] for each in figures),
                    tuple(each["greatest"] for each in figures),
                )
            )
    return Chart(name, title, "bars", "", label, tuple(series))


def latencies(results, case, name):
    series = []
    for result in measured(results, case):
        known = tuple(percentile for percentile in PERCENTILES if f"{percentile} us" in result.figures)
        figures = [result.figures[f"{percentile} us"] for percentile in known]
        spread = (tuple(each[statistic] for each in figures) for statistic in ("median", "least", "greatest"))
        series.append(Series(result.server, known, *spread))
    return Chart(name, f"Latency: {case}", "lines", "percentile", "µs", tuple(series), y_is_logarithmic=True)


def sweep(results, cases, figure, number_of, name, title, x_label, y_label):
    """A line for each server, over a number in which the cases differ."""
    cases = sorted(cases, key=number_of)
    series = []
    for server in dict.fromkeys(result.server for case in cases for result in measured(results, case)):
        points = [
            (number_of(case), result.figures[figure])
            for case in cases
            for result in measured(results, case)
            if result.server == server
        ]
        series.append(
            Series(
                server,
                tuple(x for x, _ in points),
                *(tuple(point[statistic] for _, point in points) for statistic in ("median", "least", "greatest")),
            )
        )
    return Chart(
        name,
        title,
        "lines",
        x_label,
        y_label,
        tuple(series),
        x_is_number=True,
        y_is_logarithmic=number_of is size_of,
    )


def connections_of(case):
    return case.connections


def size_of(case):
    return case.size


def base_of(cases):
    """The middle one of several, by which the others are shown besides the sweep."""
    return min(cases, key=lambda case: (abs(case.connections - 64), abs(case.size - 64)))


def charts(results):
    """All charts for which there are figures."""
    found = []
    groups = {}
    for case in results.cases:
        if measured(results, case):
            groups.setdefault((case.workload, case.family), []).append(case)
    for (workload, family), cases in groups.items():
        base = base_of(cases)
        name = f"{workload}_{family}".replace("-", "_")
        if workload == IDLE:
            for case in cases:
                suffix = "" if len(cases) == 1 else f"_{case.connections}"
                found.append(bars(results, case, "KiB each", f"memory_{family}{suffix}", f"Memory: {case}", "KiB each"))
            continue
        found.append(bars(results, base, "rate", f"throughput_{name}", f"Throughput: {base}", "requests per second"))
        found.append(latencies(results, base, f"latency_{name}"))
        by_connections = [case for case in cases if case.size == base.size]
        if len(by_connections) > 1:
            title = f"{workload}, {family}, lines of {size_text(base.size)}: throughput against connections"
            found.append(
                sweep(
                    results,
                    by_connections,
                    "rate",
                    connections_of,
                    f"connections_{name}",
                    title,
                    "connections",
                    "requests per second",
                )
            )
        by_size = [case for case in cases if case.connections == base.connections]
        if len(by_size) > 1:
            title = f"{workload}, {family}, {base.connections} connections: throughput against the size of a line"
            found.append(
                sweep(results, by_size, "rate", size_of, f"sizes_{name}", title, "bytes", "requests per second")
            )
    return found
