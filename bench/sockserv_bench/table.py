"""Prints results as tables."""

from .workloads import IDLE

# Heading, figure, decimals; each figure's median.
COLUMNS = (
    ("p50", "p50 us", 0),
    ("p90", "p90 us", 0),
    ("p99", "p99 us", 0),
    ("p99.9", "p99.9 us", 0),
    ("max", "max us", 0),
    ("CPU", "cpu us", 2),
    ("errors", "errors", 0),
)
NAME, RATE, SPREAD, OTHER = 18, 11, 21, 9
UNITS = {"rate": "requests/s", "cpu us": "µs of CPU a request", "p99 us": "µs p99", "KiB each": "KiB a connection"}


def number(value, decimals=0):
    return f"{value:,.{decimals}f}"


def spread(figure, decimals=0):
    return f"{number(figure['least'], decimals)} - {number(figure['greatest'], decimals)}"


def lines_of(results, main, unit, others, decimals):
    heading = f"{'':{NAME}}{unit:>{RATE}}{'spread':>{SPREAD}}"
    yield (heading + "".join(f"{title:>{OTHER}}" for title, _, _ in others)).rstrip()
    for result in results:
        if not result.figures:
            yield f"{result.server:{NAME}}{'failed' if result.failed else '-':>{RATE}}   {result.why}"
            continue
        figure = result.figures[main]
        line = f"{result.server:{NAME}}{number(figure['median'], decimals):>{RATE}}{spread(figure, decimals):>{SPREAD}}"
        yield line + "".join(f"{number(result.median(name), places):>{OTHER}}" for _, name, places in others)


def tables(results):
    """The lines of all tables, one for each case."""
    for case in results.cases:
        yield ""
        yield str(case)
        if case.workload == IDLE:
            yield from lines_of(results.of(case), "KiB each", "KiB each", (), 2)
        else:
            yield from lines_of(results.of(case), "rate", "requests/s", COLUMNS, 0)
    yield ""
    yield "Medians of the rounds, and their spread; latencies in µs; CPU: the server's processor time, µs a request."


def comparison(changes, path, same_machine):
    """The lines that say what has changed since an earlier run."""
    yield ""
    if not same_machine:
        yield f"{path} is of another machine or kernel: what has changed may be that."
    if not changes:
        yield f"Against {path}: nothing has changed beyond the spread."
        return
    yield f"Against {path}, beyond the spread:"
    for change in changes:
        places = 2 if change.now < 100 else 0
        percent = (change.now / change.before - 1) * 100 if change.before else float("inf")
        yield (
            f"  {'worse ' if change.is_worse else 'better'}  {change.server}: {change.case}: "
            f"{number(change.before, places)} -> {number(change.now, places)} {UNITS[change.figure]} ({percent:+.1f} %)"
        )
