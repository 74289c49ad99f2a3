"""What every example server promises besides its answers: options, exit codes, and how it ends."""

import contextlib
import os
import pty
import re
import signal
import socket
import subprocess
import time
import unittest

import own_network
from server import PATIENCE, Server, eventually, is_empty, program, reap, run, scratch, time_limit

MIXINS = ("none", "threading", "forking", "preforking", "thread_pool", "fiber", "preforking_fiber")
FIBERS = ("fiber", "preforking_fiber")  # which serve any number of requests in one thread
SERVERS = ("echo_server", "datagram_upper_server", "demo_server")


class CommandLine(unittest.TestCase):

    def test_help_says_it_all(self):
        for name in SERVERS:
            with self.subTest(name):
                result = run(program(name), "--help")
                self.assertEqual((result.returncode, result.stderr), (0, ""))
                for part in (name, "--listen URL", "--drain SECONDS", "port 0", "Exit codes: 0 ", "75 "):
                    self.assertIn(part, result.stdout)
        everything = run(program("echo_server"), "--help").stdout
        for part in ("tcp://", "udp://", "unix://", "unixgram://", "@NAME", *MIXINS, "--workers N"):
            self.assertIn(part, everything)

    def test_bad_usage_is_named(self):
        """Exit code 2, and a message that contains what was wrong."""
        long_path = "/" + "x" * 120
        for arguments, *parts in (
            (["--listen", "http://127.0.0.1:0"], "http://127.0.0.1:0", "tcp://HOST:PORT"),
            (["--listen", "127.0.0.1:9000"], "--listen", "tcp://HOST:PORT"),
            (["--listen", "tcp://127.0.0.1"], "tcp://127.0.0.1", "port"),
            (["--listen", "tcp://127.0.0.1:"], "''"),
            (["--listen", "tcp://127.0.0.1:http"], "'http'"),
            (["--listen", "udp://127.0.0.1:65536"], "65536"),
            (["--listen", "udp://127.0.0.1:-1"], "-1"),
            (["--listen", "tcp://::1:9000"], "brackets"),
            (["--listen", "unix://"], "unix://", "empty"),
            (["--listen", f"unixgram://{long_path}"], long_path, "too long"),
            (["--listen"], "--listen"),
            (["--mixin", "bogus"], "--mixin", "bogus", *MIXINS),
            (["--workers", "2"], "--workers", "--mixin"),
            (["--mixin", "threading", "--workers", "0"], "--workers", "0"),
            (["--mixin", "forking", "--workers", "many"], "--workers", "many"),
            (["--drain", "-1"], "--drain", "-1"),
            (["--bogus"], "--bogus"),
            (["bogus"], "bogus"),
        ):
            with self.subTest(arguments):
                self.assert_fails(2, run(program("echo_server"), *arguments), *parts, "--help")
        # A server for one family says which.
        self.assert_fails(2, run(program("datagram_upper_server"), "--listen", "tcp://127.0.0.1:0"), "udp://HOST:PORT")
        self.assert_fails(2, run(program("datagram_upper_server"), "--mixin", "forking"), "--mixin")

    def test_an_address_in_use_is_named(self):
        with scratch() as folder:
            for url in ("tcp://127.0.0.1:0", "udp://127.0.0.1:0", f"unix://{folder}/s", f"unixgram://{folder}/s"):
                with self.subTest(url), Server("echo_server", "--listen", url) as first:
                    second = run(program("echo_server"), "--listen", first.url)
                    self.assert_fails(1, second, first.url.partition("://")[2], "Address already in use")
                    first.end(signal.SIGTERM)

    def test_an_address_that_cannot_be_is_named(self):
        with scratch() as folder:
            missing = f"{folder}/missing/s"
            self.assert_fails(1, run(program("echo_server"), "--listen", f"unix://{missing}"), missing,
                              "No such file or directory")
        # An address of the block that is kept for documentation is on no machine.
        self.assert_fails(1, run(program("echo_server"), "--listen", "tcp://192.0.2.1:0"), "192.0.2.1",
                          "Cannot assign requested address")

    def assert_fails(self, code, result, *parts):
        self.assertEqual((result.returncode, result.stdout), (code, ""), result.stderr)
        self.assertRegex(result.stderr, r"\A\w+_server: ")
        for part in parts:
            self.assertIn(part, result.stderr)


class Ending(unittest.TestCase):

    def test_a_signal_ends_an_idle_server(self):
        for name in SERVERS:
            scheme = "udp" if name == "datagram_upper_server" else "tcp"
            for number in (signal.SIGINT, signal.SIGTERM):
                with self.subTest((name, number)), Server(name, "--listen", f"{scheme}://127.0.0.1:0") as server:
                    server.end(number)

    def test_a_signal_right_after_the_line(self):
        with scratch() as folder:
            for mixin in MIXINS * 10:
                with self.subTest(mixin), Server("echo_server", "--listen", f"unix://{folder}/s",
                                                 "--mixin", mixin) as server:
                    server.end(signal.SIGTERM)

    def test_requests_in_progress_are_finished(self):
        for server, client, file in conversations("--drain", str(PATIENCE)):
            server.signal(signal.SIGTERM)
            # Without a mixin, and in a worker, the serving thread is busy with the client.
            if not {"none", "preforking"} & set(server.process.args):
                eventually(server.refuses)
            self.assertEqual(ask(file, b"still there?\n"), b"still there?\n")
            file.close()
            client.close()
            server.ends(0)

    def test_clients_who_wait_for_their_turn_are_served(self):
        with Server("echo_server", "--listen", "tcp://127.0.0.1:0") as server, contextlib.ExitStack() as waiting:
            with server.client() as first, first.makefile("rwb") as file:
                ask(file, b"me first\n")
                others = [waiting.enter_context(server.client()) for _ in range(10)]
                for other in others:
                    other.sendall(b"me too\n")
                    other.shutdown(socket.SHUT_WR)
                server.signal(signal.SIGTERM)
            for other in others:
                with other.makefile("rb") as file:
                    self.assertEqual(file.read(), b"me too\n")
            server.ends(0)

    def test_requests_that_do_not_end_are_aborted(self):
        for server, _, file in conversations("--drain", "1"):
            server.signal(signal.SIGTERM)
            self.assertEqual(file.read(), b"")
            server.ends(75)

    def test_a_second_signal_ends_it_at_once(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            for server, *_ in conversations("--drain", "3600"):
                server.is_cut_short(number)

    def test_workers_limits_what_runs_at_a_time(self):
        for mixin in MIXINS[1:]:
            if mixin in FIBERS:
                continue
            with self.subTest(mixin), Server("demo_server", "--listen", "tcp://127.0.0.1:0", "--mixin", mixin,
                                             "--workers", "1") as server:
                with server.client() as first, first.makefile("rwb") as file:
                    ask(file, b"who\n")
                    with server.client() as second:
                        second.sendall(b"hello\n")
                        second.settimeout(0.2)
                        self.assertRaises(TimeoutError, second.recv, 100)  # its turn has not come
                        file.close()
                        first.close()
                        second.settimeout(PATIENCE)
                        self.assertEqual(second.recv(100), b"HELLO\n")
                server.end(signal.SIGTERM)

    def test_workers_with_fibers_is_how_many_threads_serve_all(self):
        for mixin in FIBERS:
            with (self.subTest(mixin), Server("demo_server", "--listen", "tcp://127.0.0.1:0", "--mixin", mixin,
                                              "--workers", "1") as server, contextlib.ExitStack() as open_clients):
                files = []
                for _ in range(10):
                    client = open_clients.enter_context(server.client())
                    files.append(open_clients.enter_context(client.makefile("rwb")))
                self.assertEqual(len({ask(file, b"who\n") for file in files}), 1)
                open_clients.close()
                server.end(signal.SIGTERM)


class Answers(unittest.TestCase):

    def test_upper_server(self):
        if missing := own_network.enter():
            self.skipTest(missing)
        with Server("upper_server", silent_at="tcp://127.0.0.1:9000") as server:
            with server.client() as client, client.makefile("rwb") as file:
                self.assertEqual(ask(file, b"Hello, World!\n"), b"HELLO, WORLD!\n")
            server.end(signal.SIGTERM)

    def test_datagram_upper_server(self):
        with Server("datagram_upper_server", "--listen", "udp://127.0.0.1:0") as server:
            with server.client() as client:
                client.send(b"Hello,\nWorld!")
                self.assertEqual(client.recv(100), b"HELLO,\nWORLD!")
            server.end(signal.SIGTERM)

    def test_who_answers(self):
        """The mixin decides in which process and thread a handler runs."""
        for mixin in MIXINS:
            for scheme in ("tcp", "udp"):
                with self.subTest((mixin, scheme)), Server("demo_server", "--listen", f"{scheme}://127.0.0.1:0",
                                                           "--mixin", mixin) as server:
                    first, second = self.who(server), self.who(server)
                    own = (server.process.pid, server.process.pid)
                    if mixin == "none":
                        self.assertEqual((first, second), (own, own))
                    elif mixin == "threading":
                        self.assertEqual((first[0], second[0]), own)
                        self.assertEqual(len({first[1], second[1], own[1]}), 3)
                    elif mixin in ("thread_pool", "fiber"):
                        self.assertEqual((first[0], second[0]), own)
                        self.assertNotIn(own[1], (first[1], second[1]))
                    elif mixin == "forking":
                        self.assertEqual(len({first[0], second[0], own[0]}), 3)
                    else:
                        self.assertNotIn(own[0], (first[0], second[0]))
                    server.end(signal.SIGTERM)

    def who(self, server):
        with server.client() as client:
            client.sendall(b"who\n")
            answer = re.fullmatch(rb"process (\d+) thread (\d+)\n", client.recv(100))
            return int(answer[1]), int(answer[2])


class Demo(unittest.TestCase):
    """tools/demo, with the demo_server of this build."""

    command = (os.path.join(os.path.dirname(__file__), "../../tools/demo"), "--bin", os.path.dirname(program("x")))

    def test_once(self):
        with scratch() as folder:
            result = run(*self.command, "--once", env=os.environ | {"TMPDIR": folder})
            self.assertEqual((result.returncode, result.stderr), (0, ""))
        rows = re.findall(r"^(tcp|udp|unix|unixgram) +(\w+) +600 +\d.*$", result.stdout, re.MULTILINE)
        self.assertEqual(rows, [(scheme, mixin) for scheme in ("tcp", "udp", "unix", "unixgram") for mixin in MIXINS])
        self.assertLessEqual(max(map(len, result.stdout.splitlines())), 80)

    def test_on_a_terminal_one_server_stays_up(self):
        with scratch() as folder:
            keyboard, terminal = pty.openpty()
            demo = subprocess.Popen(self.command, stdin=terminal, stdout=subprocess.PIPE, text=True,
                                    env=os.environ | {"TMPDIR": folder}, start_new_session=True)
            try:
                with time_limit():
                    for line in demo.stdout:
                        if invitation := re.search(r"nc (\S+) (\d+)$", line):
                            break
                    else:
                        self.fail("tools/demo has not said where its server is")
                with socket.create_connection((invitation[1], int(invitation[2]))) as client:
                    client.sendall(b"anyone?\n")
                    self.assertEqual(client.recv(100), b"ANYONE?\n")
                os.killpg(demo.pid, signal.SIGINT)  # Ctrl-C
                self.assertEqual(demo.wait(PATIENCE), 0)
                # Ctrl-C reaches all of the group at once, so some may end a moment after the demo.
                eventually(lambda: reap(demo.pid) or is_empty(demo.pid))
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(demo.pid, signal.SIGKILL)
                demo.wait()
                demo.stdout.close()
                os.close(terminal)
                os.close(keyboard)
                reap(demo.pid)


def conversations(*arguments):
    """Under each mixin: a server, and a client whom it is serving."""
    for mixin in MIXINS:
        with (Server("echo_server", "--listen", "tcp://127.0.0.1:0", "--mixin", mixin, *arguments) as server,
              server.client() as client, client.makefile("rwb") as file):
            ask(file, b"here\n")
            yield server, client, file


def ask(file, line):
    file.write(line)
    file.flush()
    return file.readline()


if __name__ == "__main__":
    unittest.main()
