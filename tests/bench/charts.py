"""The pictures of sockserv-bench: that every series is in them.

With a made-up run, so that nothing depends on what this machine measures. Ends with status 77 where the program that
draws is not installed.
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

BENCH = pathlib.Path(__file__).resolve().parents[2] / "bench"
sys.path.insert(0, str(BENCH))
from sockserv_bench import page, results  # noqa: E402
from sockserv_bench.charts import charts  # noqa: E402
from sockserv_bench.workloads import Case  # noqa: E402

SKIPPED = 77
CHROMIUM = "/usr/bin/chromium"
MACHINE = {
    "processor": "a </script> processor",
    "cores": 2,
    "virtual": True,
    "memory": "1 GiB",
    "kernel": "Linux 6",
    "system": None,
    "compiler": None,
    "build": None,
    "commit": None,
    "load average": 0.1,
    "versions": {},
}
SETTINGS = {"rounds": 3, "seconds": 1, "server cores": [0], "load cores": [1], "interrupted": False}
SERVERS = (("fiber", "mixin"), ("threading", "mixin"), ("Go", "peer"), ("plain <epoll>", "limit"))


def made_up():
    """Four servers, of which one is absent; over connections and sizes, and idle."""
    cases = [Case("ping-pong", "tcp", connections) for connections in (1, 64, 1000)]
    cases += [Case("ping-pong", "tcp", 64, size) for size in (1024, 1 << 20)]
    cases += [Case("connect", "tcp", 32), Case("idle", "tcp", 500)]
    names = ("rate", "p50 us", "p90 us", "p99 us", "p99.9 us", "max us", "cpu us", "errors")
    found = []
    for case in cases:
        for i, (server, kind) in enumerate(SERVERS):
            keys = ("KiB each",) if case.workload == "idle" else names
            values = {key: 1000 * (i + 1) + 10 * case.connections + len(key) for key in keys}
            figures = {key: {"median": v, "least": v * 0.9, "greatest": v * 1.1} for key, v in values.items()}
            found.append(results.Result(server, kind, case, figures, None, (values,)))
        found.append(results.Result("Node.js", "peer", case, {}, why="there is no node"))
    return results.Results(MACHINE, SETTINGS, tuple(found), "2026-01-01T00:00:00+00:00")


# For each series, whether the pixel of one of its points has its colour: so it has been drawn, and not only meant.
COUNT_DRAWN = """
<script>
const report = [...document.querySelectorAll('canvas')].map((canvas) => {
  const chart = Chart.getChart(canvas);
  const context = canvas.getContext('2d');
  const scale = chart.currentDevicePixelRatio;
  const inside = chart.config.type === 'bar' ? 3 : 0;  // within a bar, below its upper edge
  return {title: chart.options.plugins.title.text, drawn: chart.data.datasets.filter((dataset, i) => {
    const probe = document.createElement('canvas').getContext('2d');
    probe.fillStyle = dataset.borderColor;
    probe.fillRect(0, 0, 1, 1);
    const wanted = probe.getImageData(0, 0, 1, 1).data;
    return chart.getDatasetMeta(i).data.some((point) => {
      const found = context.getImageData(point.x * scale, (point.y + inside) * scale, 1, 1).data;
      return wanted.every((value, j) => Math.abs(value - found[j]) < 8);
    });
  }).map((dataset) => dataset.label)};
});
const output = document.createElement('pre');
output.id = 'report';
output.textContent = JSON.stringify(report);
document.body.append(output);
</script>
"""


class Page(unittest.TestCase):
    def drawn_by_chromium(self, text):
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder, "page.html")
            file.write_text(text.replace("</body>", COUNT_DRAWN + "</body>"), encoding="utf-8")
            options = "headless no-sandbox disable-gpu disable-quic no-first-run disable-background-networking"
            options += " disable-component-update disable-sync dump-dom"
            command = [CHROMIUM, *(f"--{option}" for option in options.split())]
            command += [f"--user-data-dir={folder}/profile", "--window-size=1200,1200", file.as_uri()]
            done = subprocess.run(command, capture_output=True, text=True, timeout=100, env=os.environ | {"HOME": folder})
            report = re.search(r'<pre id="report">(.*?)</pre>', done.stdout, re.DOTALL)
            self.assertIsNotNone(report, done.stderr)
            return {chart["title"]: chart["drawn"] for chart in json.loads(report[1].replace("&lt;", "<").replace("&gt;", ">"))}

    def test_chromium_draws_every_series(self):
        found = made_up()
        wanted = {chart.title: [series.name for series in chart.series] for chart in charts(found)}
        self.assertEqual(len(wanted), 7)
        self.assertEqual(sum(map(len, wanted.values())), 3 + 4 + 4 + 4 + 3 + 4 + 3)
        self.assertEqual(self.drawn_by_chromium(page.page(found)), wanted)

    def test_the_page_needs_no_other(self):
        text = page.page(made_up())
        self.assertNotRegex(text, r"""(?:src|href)=["']""")
        self.assertIn("a &lt;/script&gt; processor", text)
        self.assertIn("plain &lt;epoll&gt;", text)
        self.assertIn("there is no node", text)


class Plots(unittest.TestCase):
    def test_each_chart_becomes_a_file_with_its_series(self):
        found = made_up()
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder, "run.json")
            results.write(found, file)
            done = subprocess.run([BENCH / "plot.py", file, "--output", folder], capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stderr)
            for chart in charts(found):
                text = pathlib.Path(folder, f"{chart.name}.svg").read_text()
                for series in chart.series:
                    self.assertIn(f">{series.name.replace('<', '&lt;').replace('>', '&gt;')}</text>", text)


def what_is_missing():
    """What the chosen tests need and this machine lacks."""
    if "Page" in sys.argv:
        if not os.access(CHROMIUM, os.X_OK):
            return "there is no Chromium"
        try:
            page.library()
        except page.NoLibrary as error:
            return str(error)
    elif subprocess.run(["/usr/bin/python3", "-c", "import matplotlib"], capture_output=True).returncode != 0:
        return "there is no matplotlib for /usr/bin/python3"
    return None


if __name__ == "__main__":
    missing = what_is_missing()
    if missing:
        print(f"skipped: {missing}")
        sys.exit(SKIPPED)
    unittest.main()
