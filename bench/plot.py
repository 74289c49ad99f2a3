#!/usr/bin/python3
"""Draws what sockserv-bench --json has written, as SVG.

  bench/plot.py bench/results/FILE.json --output FOLDER
  bench/plot.py bench/results/FILE.json --only throughput_ping_pong_tcp --output docs

Each chart becomes FOLDER/NAME.svg; without --only all of them do. Thin lines on bars, and bands around curves, are the
spread of the rounds. It takes matplotlib, which Debian has for its own Python as python3-matplotlib; hence the first
line of this file.
"""

import argparse
import pathlib
import sys

try:
    import matplotlib
except ImportError:
    sys.exit("plot.py: there is no matplotlib for this Python; it is in Debian's package python3-matplotlib")

matplotlib.use("svg")
matplotlib.rcParams.update({"svg.hashsalt": "sockserv", "svg.fonttype": "none", "font.size": 10})

import matplotlib.pyplot as pyplot
from matplotlib.ticker import FuncFormatter

from sockserv_bench import machine, results
from sockserv_bench.charts import charts

KIND_COLOURS = {"sockserv": "#1f77b4", "other frameworks": "#9a9a9a", "plain loops": "#d8a33d"}
with_commas = FuncFormatter(lambda value, _: f"{value:,.0f}")


def errors_of(series):
    """How far the spread goes below and above."""
    below = [y - low for y, low in zip(series.y, series.low)]
    above = [high - y for y, high in zip(series.y, series.high)]
    return [below, above]


def draw_bars(axes, chart):
    """Horizontal, the longest at the top, so that names can be read."""
    rows = [
        (y, x, low, high, series.name)
        for series in chart.series
        for x, y, low, high in zip(series.x, series.y, *errors_of(series))
    ]
    rows.sort()
    places = range(len(rows))
    axes.barh(
        places,
        [row[0] for row in rows],
        xerr=[[row[2] for row in rows], [row[3] for row in rows]],
        color=[KIND_COLOURS[row[4]] for row in rows],
        error_kw={"elinewidth": 0.8, "ecolor": "#333333"},
    )
    axes.set_yticks(places, [row[1] for row in rows])
    axes.set_xlabel(chart.y_label)
    if chart.y_is_logarithmic:
        axes.set_xscale("log")
    axes.xaxis.set_major_formatter(with_commas)
    axes.grid(axis="x", alpha=0.3)
    axes.legend(
        handles=[
            matplotlib.patches.Patch(color=KIND_COLOURS[series.name], label=series.name) for series in chart.series
        ],
        loc="lower right",
        frameon=False,
    )


def draw_lines(axes, chart):
    colours = matplotlib.colormaps["tab10" if len(chart.series) <= 10 else "tab20"].colors
    for i, series in enumerate(chart.series):
        colour = colours[i % len(colours)]
        axes.plot(series.x, series.y, marker="o", markersize=3, linewidth=1.3, color=colour, label=series.name)
        axes.fill_between(series.x, series.low, series.high, color=colour, alpha=0.15, linewidth=0)
    if chart.x_is_number:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(with_commas)
    if chart.y_is_logarithmic:
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(with_commas)
    axes.set_xlabel(chart.x_label)
    axes.set_ylabel(chart.y_label)
    axes.grid(alpha=0.3)
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False, fontsize=9)


def draw(chart, description, path):
    servers = sum(len(series.x) for series in chart.series)
    height = 1.6 + 0.27 * servers if chart.kind == "bars" else 4.5
    figure, axes = pyplot.subplots(figsize=(8, height), layout="constrained")
    (draw_bars if chart.kind == "bars" else draw_lines)(axes, chart)
    axes.set_title(chart.title, fontsize=11, loc="left")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.savefig(path, format="svg", metadata={"Date": None, "Title": chart.title, "Description": description})
    pyplot.close(figure)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=pathlib.Path, help="what sockserv-bench --json has written")
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("."), help="a folder (default: this one)")
    parser.add_argument("--only", nargs="*", default=[], metavar="NAME", help="only these charts")
    arguments = parser.parse_args()
    if not arguments.output.is_dir():
        parser.error(f"there is no folder {arguments.output}")
    try:
        found = results.read(arguments.file)
    except results.BadFile as error:
        parser.error(str(error))
    known = {chart.name: chart for chart in charts(found)}
    for name in arguments.only:
        if name not in known:
            parser.error(f"there is no chart {name}; there are {', '.join(known)}")
    for name in arguments.only or known:
        path = arguments.output / f"{name}.svg"
        draw(known[name], f"{machine.in_a_line(found.machine)}; {found.date}", path)
        print(path)


main()
