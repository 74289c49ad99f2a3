"""sockserv-bench as its users run it, for a moment."""

import contextlib
import copy
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import unittest

from server import program

MIXINS = ["none", "threading", "thread_pool", "forking", "preforking", "fiber", "preforking_fiber"]


SERVER = """#!/usr/bin/env python3
import socketserver, time

class Echo(socketserver.StreamRequestHandler):
    count = 0

    def handle(self):
        {}

with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Echo) as server:
    print("listening on tcp://%s:%d" % server.server_address, flush=True)
    server.serve_forever()
"""

# Echoes; but the second time that a client has connected, only for a moment.
UNRULY_SERVER = SERVER.format("""
        Echo.count += 1
        end = time.monotonic() + 0.22 if Echo.count == 2 else float("inf")
        for line in self.rfile:
            self.wfile.write(line)
            if time.monotonic() > end:
                return""")

# Echoes; but takes longer for the second line of each client than the test measures.
LATE_SERVER = SERVER.format("""
        for number, line in enumerate(self.rfile):
            time.sleep(0.5 if number == 1 else 0)
            self.wfile.write(line)""")


def bench(*arguments, **options):
    command = [program("sockserv-bench"), "--bin", os.environ["SOCKSERV_BIN"], *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=100, **options)


class WithFolder(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def measured(self, *arguments, status=0):
        """The file of a run, which must end with that status, and what it printed."""
        file = self.folder / "run.json"
        done = bench("--json", file, "--rounds=1", "--seconds=0.05", *arguments)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return json.loads(file.read_text()), done.stdout


class Program(WithFolder):
    def test_measures_every_mixin_at_every_workload(self):
        found, printed = self.measured("--connections=4", "--workloads=ping-pong,connect,pipeline,compute,sleep,idle")
        by_server = {}
        for result in found["results"]:
            by_server.setdefault(result["server"], {})[result["case"]["workload"]] = result
        self.assertEqual(list(by_server), MIXINS)
        for server, workloads in by_server.items():
            for workload, result in workloads.items():
                with self.subTest(server=server, workload=workload):
                    self.assertIn(server, printed)
                    self.assertFalse(result["failed"], result["why"])
                    if server == "none" and workload != "connect":
                        self.assertEqual(result["why"], "serves one connection at a time")
                        continue
                    figures = result["figures"]
                    if workload == "idle":
                        self.assertGreater(figures["KiB each"]["median"], 0)
                        continue
                    self.assertGreater(figures["rate"]["median"], 0)
                    self.assertEqual(figures["errors"]["greatest"], 0)
                    names = ("p50 us", "p90 us", "p99 us", "p99.9 us", "max us")
                    order = [figures[name]["median"] for name in names if name in figures]
                    self.assertEqual(order, sorted(order))
                    self.assertGreater(figures["cpu us"]["median"], 0)
                    if workload == "sleep":
                        self.assertGreaterEqual(figures["max us"]["median"], 5000)
        self.assertEqual(set(found["machine"]) >= {"processor", "cores", "kernel", "compiler", "commit"}, True)

    def test_measures_datagrams_and_unix_sockets(self):
        options = ("--connections=2", "--mixins=fiber,threading", "--workloads=ping-pong")
        found, _ = self.measured("--families=udp,unix,unixgram", *options)
        self.assertEqual(
            [(each["case"]["family"], each["server"]) for each in found["results"] if each["figures"]],
            [(family, server) for family in ("udp", "unix", "unixgram") for server in ("fiber", "threading")],
        )

    def test_measures_long_lines(self):
        options = ("--connections=2", "--mixins=fiber", "--workloads=ping-pong", "--peers=plain threads,Asio spawn")
        found, _ = self.measured("--sizes=16,1M", *options)
        self.assertEqual(
            [(each["case"]["size"], each["server"], each["why"]) for each in found["results"]],
            [
                (16, "fiber", None),
                (16, "plain threads", None),
                (16, "Asio spawn", None),
                (1 << 20, "fiber", None),
                (1 << 20, "plain threads", "lines of no more than 8 KiB"),
                (1 << 20, "Asio spawn", None),
            ],
        )

    def test_counts_clients_that_fail_as_errors(self):
        options = ("--connections=2", "--mixins=fiber", "--workloads=ping-pong", "--sizes=64")
        found, printed = self.measured(*options, "--bin", self.with_server(UNRULY_SERVER))
        [result] = found["results"]
        self.assertEqual(result["figures"]["errors"]["greatest"], 1, printed)

    def test_measures_until_there_is_an_answer(self):
        with self.server(LATE_SERVER) as url:
            load = subprocess.run(
                [program("sockserv-load"), "ping-pong", url, "--clients=1", "--seconds=0.05", "--warmup=0"],
                capture_output=True, text=True, timeout=100,
            )
        self.assertEqual(load.returncode, 0, load.stderr)
        figures = json.loads(load.stdout)
        self.assertEqual(figures["requests"], 1)
        self.assertGreaterEqual(figures["seconds"], 0.5)
        self.assertAlmostEqual(figures["rate"], 1 / figures["seconds"], 1)
        self.assertEqual(figures["stalled"], 0)

    @contextlib.contextmanager
    def server(self, text):
        """The address of a running server."""
        path = self.folder / "server"
        path.write_text(text)
        with subprocess.Popen([sys.executable, path], stdout=subprocess.PIPE, text=True) as running:
            yield running.stdout.readline().removeprefix("listening on ").strip()
            running.kill()

    def with_server(self, text):
        """A folder of programs with that server."""
        load = self.folder / "sockserv-load"
        load.symlink_to(program("sockserv-load"))
        server = self.folder / "sockserv-bench-server"
        server.write_text(text)
        server.chmod(0o755)
        return self.folder

    def test_says_which_peers_are_absent_and_measures_the_others(self):
        for name in ("sockserv-load", "sockserv-bench-server"):
            (self.folder / name).symlink_to(program(name))
        options = ("--connections=2", "--mixins=fiber", "--workloads=ping-pong")
        found, printed = self.measured("--bin", self.folder, "--peers=plain epoll raw,CPython threading", *options)
        results = {each["server"]: each for each in found["results"]}
        self.assertIn("there is no", results["plain epoll raw"]["why"])
        self.assertFalse(results["plain epoll raw"]["failed"])
        self.assertTrue(results["CPython threading"]["figures"])
        self.assertIn("there is no", printed)

    def test_refuses_what_makes_no_sense(self):
        for arguments, complaint in (
            (["--mixins=fibre"], "'fibre' is none of none, threading"),
            (["--sizes=8"], "8 is not from 16 to"),
            (["--connections=many"], "'many' is no number"),
            (["--families=udp", "--workloads=idle"], "datagrams have no connections"),
            (["--families=udp,tcp", "--sizes=16K"], "datagrams have no more than 8192 bytes"),
            (["--sweep=sizes", "--workloads=connect"], "a sweep is of ping-pong"),
            (["--rounds=0"], "at least 1 round"),
            (["--json", self.folder / "none" / "file"], "No such file"),
            (["--html", self.folder], "Is a directory"),
            (["--against", self.folder / "missing"], "No such file"),
            (["--no-pin", "--load-cores=0"], "--no-pin, or cores"),
        ):
            with self.subTest(complaint):
                done = bench(*arguments)
                self.assertEqual(done.returncode, 2, done.stdout + done.stderr)
                self.assertIn(complaint, done.stderr)

    def test_reports_what_it_has_when_interrupted(self):
        file = self.folder / "run.json"
        command = [program("sockserv-bench"), "--bin", os.environ["SOCKSERV_BIN"], "--json", str(file)]
        command += ["--mixins=fiber,threading", "--workloads=ping-pong", "--connections=2", "--rounds=1000"]
        running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
        with running:
            children = pathlib.Path(f"/proc/{running.pid}/task/{running.pid}/children")
            seen = set()
            deadline = time.monotonic() + 60
            while len(seen) < 7 and time.monotonic() < deadline:  # each measurement is a server and a load
                seen.update(children.read_text().split())
                time.sleep(0.005)
            os.killpg(running.pid, signal.SIGINT)  # as a terminal does
            printed, complaints = running.communicate(timeout=30)
        self.assertEqual(running.returncode, 128 + signal.SIGINT)
        self.assertIn("interrupted", complaints)
        self.assertTrue(json.loads(file.read_text())["settings"]["interrupted"])
        self.assertIn("fiber", printed)
        self.assertTrue(json.loads(file.read_text())["results"])


class Comparing(WithFolder):
    OPTIONS = ("--connections=2", "--mixins=fiber,threading", "--workloads=ping-pong,idle")

    def against(self, earlier):
        file = self.folder / "earlier.json"
        file.write_text(earlier if isinstance(earlier, str) else json.dumps(earlier))
        return bench("--against", file, "--rounds=1", "--seconds=0.05", *self.OPTIONS)

    def scaled(self, found, figures):
        """The file of a machine on which these figures were that many times as large."""
        other = copy.deepcopy(found)
        for result in other["results"]:
            for figure, factor in figures.items():
                if figure in result["figures"]:
                    spread = result["figures"][figure]
                    result["figures"][figure] = {name: value * factor for name, value in spread.items()}
        return other

    def test_tells_worse_from_better(self):
        found, _ = self.measured(*self.OPTIONS)
        slower = self.against(self.scaled(found, {"rate": 1000, "cpu us": 0.0001}))
        self.assertEqual(slower.returncode, 3, slower.stdout + slower.stderr)
        self.assertRegex(slower.stdout, r"worse +fiber: ping-pong.*requests/s \(-\d+\.\d %\)")
        self.assertRegex(slower.stdout, r"worse +threading: ping-pong.*µs of CPU a request")
        better = {"rate": 0.001, "p99 us": 10_000, "cpu us": 10_000, "KiB each": 1000}
        faster = self.against(self.scaled(found, better))
        self.assertEqual(faster.returncode, 0, faster.stdout + faster.stderr)
        self.assertRegex(faster.stdout, r"better +threading: idle.*KiB a connection")
        self.assertNotIn("worse", faster.stdout)

    def test_says_nothing_of_what_is_within_the_spread(self):
        found, _ = self.measured(*self.OPTIONS)
        for result in found["results"]:
            for spread in result["figures"].values():
                spread["least"], spread["greatest"] = 0, 1e12
        found["machine"]["kernel"] = "Linux 2.0"
        same = self.against(found)
        self.assertEqual(same.returncode, 0, same.stdout + same.stderr)
        self.assertIn("nothing has changed beyond the spread", same.stdout)
        self.assertIn("kernel: Linux 2.0 in ", same.stdout)
        self.assertIn("less than 5 rounds", same.stdout)

    def test_refuses_a_file_of_something_else(self):
        for text in ("", "{}", "[1]", '{"format": 99}'):
            with self.subTest(text):
                done = self.against(text)
                self.assertEqual(done.returncode, 2, done.stdout + done.stderr)
                self.assertIn("earlier.json", done.stderr)


if __name__ == "__main__":
    unittest.main()
