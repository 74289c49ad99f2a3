"""One HTML page with the charts and tables of a run, which needs nothing else: the charting library is in it."""

import dataclasses
import html
import json
import pathlib
import string

from . import machine, table
from .charts import charts

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
    yield f"<table><caption>{html.escape(str(case))}</caption>"
    yield "<tr>" + "".join(f"<th>{heading}</th>" for heading in ["server", *table.headings_of(case)]) + "</tr>"
    for result in results.of(case):
        cells = table.cells_of(result) if result.figures else ["failed" if result.failed else "-", result.why]
        yield "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in [result.server, *cells]) + "</tr>"
    yield "</table>"


def method_of(results):
    settings = results.settings
    apart = not set(settings["server cores"]) & set(settings["load cores"])
    where = "server and load on cores of their own" if apart else "server and load on the same cores"
    interrupted = " It was interrupted." if settings["interrupted"] else ""
    return (
        f"{results.date}. Up to {settings['rounds']} rounds of {settings['seconds']:g} s each, in which the servers took "
        f"turns; {where}.{interrupted} {table.NOTES}"
    )


def page(results):
    template = string.Template((pathlib.Path(__file__).parent / "page.html").read_text(encoding="utf-8"))
    values = json.dumps([dataclasses.asdict(chart) for chart in charts(results)], ensure_ascii=False)
    return template.substitute(
        machine=html.escape(machine.in_a_line(results.machine)),
        method=html.escape(method_of(results)),
        versions=html.escape(machine.versions_in_a_line(results.machine)),
        library=library(),
        charts=values.replace("</", "<\\/"),  # so that no name ends the script
        tables="\n".join(line for case in results.cases for line in html_table(results, case)),
    )
