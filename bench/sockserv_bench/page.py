"""One HTML page with the charts and tables of a run, which needs nothing else: the charting library is in it."""

import dataclasses
import html
import json
import pathlib
import string

from . import machine, table
from .charts import charts
from .workloads import IDLE

# Where Debian has Chart.js 3 (libjs-chart.js, node-chart.js).
LIBRARIES = ("/usr/share/javascript/chart.js/chart.min.js", "/usr/share/nodejs/chart.js/dist/chart.min.js")


class NoLibrary(Exception):
    """Chart.js is not on this machine."""


def library():
    for path in map(pathlib.Path, LIBRARIES):
        if path.exists():
            return path.read_text(encoding="utf-8")
    raise NoLibrary("an HTML page needs Chart.js; it is in Debian's package libjs-chart.js")


def html_table(results, case):
    main, columns = ("KiB each", ()) if case.workload == IDLE else ("rate", table.COLUMNS)
    headings = ["server", "KiB each" if case.workload == IDLE else "requests/s", "spread", *(c[0] for c in columns)]
    yield f"<table><caption>{html.escape(str(case))}</caption>"
    yield "<tr>" + "".join(f"<th>{heading}</th>" for heading in headings) + "</tr>"
    for result in results.of(case):
        cells = [result.server]
        if result.figures:
            places = 2 if case.workload == IDLE else 0
            cells += [table.number(result.median(main), places), table.spread(result.figures[main], places)]
            cells += [table.number(result.median(name), decimals) for _, name, decimals in columns]
        else:
            cells += ["failed" if result.failed else "-", result.why]
        yield "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells) + "</tr>"
    yield "</table>"


def page(results):
    template = string.Template((pathlib.Path(__file__).parent / "page.html").read_text(encoding="utf-8"))
    values = json.dumps([dataclasses.asdict(chart) for chart in charts(results)], ensure_ascii=False)
    settings = results.settings
    pinned = "server and load on cores of their own" if settings["pinned"] else "server and load on any core"
    return template.substitute(
        machine=html.escape(machine.in_a_line(results.machine)),
        method=html.escape(
            f"{results.date}. Medians of {settings['rounds']} rounds of {settings['seconds']:g} s each, in which the "
            f"servers took turns; {pinned}. Latencies and CPU per request are in µs."
        ),
        library=library(),
        charts=values.replace("</", "<\\/"),  # so that no name ends the script
        tables="\n".join(line for case in results.cases for line in html_table(results, case)),
    )
