"""Prints results as tables."""

from .workloads import IDLE

# Heading, figure, which of its statistics, decimals.
COLUMNS = (
    ("p50", "p50 us", "median", 0),
    ("p90", "p90 us", "median", 0),
    ("p99", "p99 us", "median", 0),
    ("p99.9", "p99.9 us", "median", 0),
    ("max", "max us", "greatest", 0),
    ("CPU", "cpu us", "median", 2),
    ("errors", "errors", "greatest", 0),
    ("lost", "lost", "greatest", 0),
)
NAME, RATE, SPREAD, OTHER = 20, 11, 21, 9
UNITS = {"rate": "requests/s", "cpu us": "µs of CPU a request", "p99 us": "µs p99", "KiB each": "KiB a connection"}
NOTES = """Medians of the rounds, and their spread; max: the greatest of all. Latencies are in µs, under a closed load: nobody
sends before the last answer has come. A percentile that too few requests lie beyond is left out. CPU: processor time of
the server, in µs a request, the accepting of its connection included. raw: sends back what it receives, not lines."""


def number(value, decimals=0):
    return f"{value:,.{decimals}f}"


def spread(figure, decimals=0):
    return f"{number(figure['least'], decimals)} - {number(figure['greatest'], decimals)}"


def headings_of(case):
    """Of all columns but the server's name."""
    if case.workload == IDLE:
        return ["KiB each", "spread"]
    return ["requests/s", "spread", *(title for title, *_ in COLUMNS)]


def cells_of(result):
    """The figures of a result that has some, as texts under these headings."""
    main, decimals, others = ("KiB each", 2, ()) if result.case.workload == IDLE else ("rate", 0, COLUMNS)
    cells = [number(result.figures[main]["median"], decimals), spread(result.figures[main], decimals)]
    for _, figure, statistic, places in others:
        cells.append(number(result.figures[figure][statistic], places) if figure in result.figures else "-")
    return cells


def in_columns(cells):
    widths = [RATE, SPREAD, *[OTHER] * len(COLUMNS)]
    return "".join(f"{cell:>{width}}" for cell, width in zip(cells, widths))


def tables(results):
    """The lines of all tables, one for each case."""
    for case in results.cases:
        yield ""
        yield str(case)
        yield f"{'':{NAME}}{in_columns(headings_of(case))}"
        for result in results.of(case):
            if result.figures:
                yield f"{result.server:{NAME}}{in_columns(cells_of(result))}"
            else:
                yield f"{result.server:{NAME}}{'failed' if result.failed else '-':>{RATE}}   {result.why}"
    yield ""
    yield NOTES


def comparison(changes, before, now, path):
    """The lines that say what has changed since an earlier run."""
    yield ""
    for what, earlier, present in (("machine", before.machine, now.machine), ("settings", before.settings, now.settings)):
        for key in ("processor", "cores", "kernel", "compiler", "build") if what == "machine" else present:
            if earlier.get(key) != present.get(key):
                yield f"{key}: {earlier.get(key)} in {path}, {present.get(key)} now; what has changed may be that"
    if min(before.settings["rounds"], now.settings["rounds"]) < 5:
        yield "With less than 5 rounds in each run, some of this is chance; see --rounds."
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
