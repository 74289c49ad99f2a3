"""What a program inherits from whoever starts it must not harm it: closed standard descriptors, blocked and ignored
signals, a standard error that nobody reads, a low limit of descriptors."""

import contextlib
import fcntl
import itertools
import os
import random
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import unittest

import own_network
from server import PATIENCE, address_of, catches, eventually, is_empty, program, reap, time_limit

SUBSETS = [frozenset(subset) for size in range(4) for subset in itertools.combinations((0, 1, 2), size)]
BLOCKED = (frozenset(), frozenset({signal.SIGTERM}), frozenset({signal.SIGINT}))
ENVIRONMENT = {**os.environ, "SOCKSERV_KEY": "a key of the tests"}
if "ASAN_OPTIONS" in ENVIRONMENT:
    # Where SIGCHLD is ignored, LeakSanitizer fails, and then waits for who reads standard error.
    ENVIRONMENT["ASAN_OPTIONS"] += ":detect_leaks=0"


def broken_pipe():
    """The end of a pipe that nobody reads."""
    reading, writing = os.pipe()
    os.close(reading)
    return contextlib.closing(os.fdopen(writing, "wb", buffering=0))


@contextlib.contextmanager
def full_pipe():
    """The end of a pipe that has no room, and whose reader never reads."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETFL, os.O_NONBLOCK)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writing, b"x" * 4096)
    fcntl.fcntl(writing, fcntl.F_SETFL, 0)
    try:
        yield os.fdopen(writing, "wb", buffering=0, closefd=False)
    finally:
        os.close(reading)
        os.close(writing)


@contextlib.contextmanager
def started(command, closed=frozenset(), blocked=frozenset(), errors="read", output="read", ignored=(), descriptors=None):
    """Runs a program that inherits all that; yields the process."""
    def inherit():
        for number in closed:
            os.close(number)
        signal.pthread_sigmask(signal.SIG_BLOCK, blocked)
        for number in ignored:
            signal.signal(number, signal.SIG_IGN)
        if descriptors:
            resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))

    with contextlib.ExitStack() as stack:
        streams = {}
        for stream, state in (("stderr", errors), ("stdout", output)):
            streams[stream] = subprocess.PIPE
            if state == "gone":
                streams[stream] = stack.enter_context(broken_pipe())
            elif state == "full":
                streams[stream] = stack.enter_context(full_pipe())
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, preexec_fn=inherit, start_new_session=True,
                                   restore_signals=False, env=ENVIRONMENT, **streams)
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            reap(process.pid)
            for stream in (process.stdout, process.stderr):
                if stream:
                    stream.close()


def ask(address, kind, question):
    """One question, on a connection of its own; the answer's first bytes."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family, kind) as client:
        client.settimeout(PATIENCE)
        if family == socket.AF_UNIX and kind == socket.SOCK_DGRAM:
            client.bind("")
        client.connect(address)
        client.send(question)
        return client.recv(1000)


def break_off(address):
    """A client that sends a lot and closes without reading: a line in the log."""
    with socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET) as client:
        client.settimeout(PATIENCE)
        client.connect(address)
        with contextlib.suppress(BlockingIOError):
            client.setblocking(False)
            client.send(b"x\n" * 20000)


class Inheritance(unittest.TestCase):

    def check_descriptors(self, process, closed):
        for number in closed:
            target = os.readlink(f"/proc/{process.pid}/fd/{number}")
            self.assertEqual(target, "/dev/null", f"descriptor {number}")

    def ends(self, process, number):
        process.send_signal(number)
        with time_limit():
            self.assertEqual(process.wait(PATIENCE), 0)
        eventually(lambda: reap(process.pid) or is_empty(process.pid))


class EchoServer(Inheritance):
    """Every combination, under one mixin."""

    def test_everything(self):
        mixin = os.environ["MIXIN"]
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "s")
            command = [program("echo_server"), "--mixin", mixin, "--listen", f"unix://{path}"]
            for closed, blocked, state in itertools.product(SUBSETS, BLOCKED[1:], ("gone", "full")):
                with self.subTest((sorted(closed), blocked, state)), started(command, closed, blocked, state, state) as process:
                    address = address_of(process, path)
                    self.check_descriptors(process, closed)
                    break_off(address)
                    for _ in range(2):
                        self.assertEqual(ask(address, socket.SOCK_STREAM, b"hello\n"), b"hello\n")
                    self.ends(process, *blocked)


STREAM, DATAGRAM = socket.SOCK_STREAM, socket.SOCK_DGRAM
# How each server is started, where it is then, and what it is asked. Those by hand take a port or a path.
BY_HAND = {
    **{name: (["0"], STREAM, STREAM, b"hello\n") for name in (
        "01_tcp_server", "06_blocking_server", "06_nonblocking_server", "06_multiplexed_server",
        "06_signal_driven_server", "06_asynchronous_server")},
    **{name: (["0"], STREAM, None, b"") for name in ("05_sticky_server", "05_framed_server")},  # they answer nothing
    "02_udp_server": (["0"], DATAGRAM, DATAGRAM, b"hello"),
    "03_unix_stream_server": (["PATH"], "PATH", STREAM, b"hello\n"),
    "03_unix_datagram_server": (["PATH"], "PATH", DATAGRAM, b"hello"),
    "13_time_server": (["--listen", "udp://127.0.0.1:0"], DATAGRAM, DATAGRAM, b"%Y"),
}
TCP, UDP = "tcp://127.0.0.1:0", "udp://127.0.0.1:0"
WITH_LIBRARY = {
    **{name: (["--listen", TCP], STREAM, STREAM, b"hello\n") for name in (
        "demo_server", "08_mixins_server")},
    "datagram_upper_server": (["--listen", UDP], DATAGRAM, DATAGRAM, b"hello"),
    "09_hmac_server": (["--listen", TCP], STREAM, STREAM, b""),
    "10_command_server": (["--listen", TCP], STREAM, STREAM, b""),
    "11_file_server": (["--listen", TCP, "--directory", "FOLDER"], STREAM, STREAM, b"\0\0\0\2{}"),
    "12_chat_server": (["--listen", TCP], STREAM, STREAM, b"me\n"),
    "12_udp_chat_server": (["--listen", UDP], DATAGRAM, None, b""),
    "http_server": (["--listen", TCP, "--directory", "FOLDER"], STREAM, STREAM, b"GET / HTTP/1.0\r\n\r\n"),
    "kv_server": (["--listen", TCP], STREAM, STREAM, b"PING\r\n"),
}
# Those whose address is written into them. Each has a network of its own.
FIXED = {
    "upper_server": ([], STREAM, STREAM, b"hello\n"),
    "07_tcp_server": ([], STREAM, STREAM, b"hello\n"),
    "07_udp_server": ([], DATAGRAM, DATAGRAM, b"hello"),
    "07_counting_server": ([], STREAM, STREAM, b""),
}
# Each client: its arguments, and the server that it talks to.
CLIENTS = {
    "01_tcp_client": (["PORT"], "01_tcp_server"),
    "02_udp_client": (["PORT"], "02_udp_server"),
    "03_unix_stream_client": (["PATH"], "03_unix_stream_server"),
    "05_framed_client": (["PORT"], "05_framed_server"),
    "05_sticky_client": (["PORT"], "05_sticky_server"),
    "09_hmac_client": (["--server", "tcp://127.0.0.1:PORT", "hello"], "09_hmac_server"),
    "10_command_client": (["--server", "tcp://127.0.0.1:PORT", "--", "true"], "10_command_server"),
    "11_file_client": (["--server", "tcp://127.0.0.1:PORT", "put", "FILE"], "11_file_server"),
    "12_chat_client": (["--server", "tcp://127.0.0.1:PORT"], "12_chat_server"),
    "13_time_client": (["PORT"], "13_time_server"),
}
FACTORS = {
    "closed": SUBSETS,
    "blocked": BLOCKED,
    "errors": ("read", "gone", "full"),
    "ignored": ((), (signal.SIGINT,), (signal.SIGCHLD,), (signal.SIGPIPE,)),
    "descriptors": (None, 64),
}


def pairwise(factors):
    """Rows in which each pair of values of two factors occurs; always the same ones."""
    choose = random.Random(1)
    names = list(factors)
    uncovered = {((a, x), (b, y)) for a, b in itertools.combinations(names, 2)
                 for x in range(len(factors[a])) for y in range(len(factors[b]))}
    while uncovered:
        row = dict(min(uncovered))
        for name in names:
            if name not in row:
                def gain(value):
                    return sum(tuple(sorted(((name, value), other), key=lambda each: names.index(each[0]))) in uncovered
                               for other in row.items())
                values = list(range(len(factors[name])))
                choose.shuffle(values)
                row[name] = max(values, key=gain)
        uncovered -= set(itertools.combinations(((name, row[name]) for name in names), 2))
        yield {name: factors[name][index] for name, index in row.items()}


class Others(Inheritance):
    """Every other program, under a pairwise choice."""

    def setUp(self):
        self.folder = self.enterContext(tempfile.TemporaryDirectory())

    def substituted(self, arguments, **values):
        values = {"PATH": os.path.join(self.folder, "s"), "FOLDER": self.folder, **values}
        for name, value in values.items():
            arguments = [argument.replace(name, value) for argument in arguments]
        return arguments

    @contextlib.contextmanager
    def server(self, name, **inherited):
        arguments, place, kind, question = {**BY_HAND, **WITH_LIBRARY, **FIXED}[name]
        with started([program(name), *self.substituted(arguments)], **inherited) as process:
            address = address_of(process, self.substituted(["PATH"])[0] if place == "PATH" else place)
            self.assertIsNone(process.poll(), f"it ended with {process.returncode}")
            yield process, address, kind, question

    def serves(self, names):
        for row in pairwise({"program": names, **FACTORS}):
            name = row.pop("program")
            with self.subTest(name, **row), self.server(name, **row) as (process, address, kind, question):
                self.check_descriptors(process, row["closed"])
                if kind:
                    self.assertTrue(ask(address, kind, question))
                else:  # it can be reached before it serves, and nothing says since when it does
                    eventually(lambda: process.poll() is not None or catches(process.pid, signal.SIGTERM))
                self.ends(process, *(row["blocked"] - set(row["ignored"]) or {signal.SIGTERM}))

    def test_servers_by_hand_serve(self):
        self.serves(tuple(BY_HAND))

    def test_servers_serve(self):
        self.serves(tuple(WITH_LIBRARY))

    def test_servers_at_fixed_ports_serve(self):
        if missing := own_network.enter():
            self.skipTest(missing)
        self.serves(tuple(FIXED))

    def test_clients_are_served(self):
        file = os.path.join(self.folder, "file")
        with open(file, "w") as content:
            content.write("content\n")
        for name, (arguments, server) in CLIENTS.items():
            with self.server(server) as (_, address, _, _):
                port = "" if isinstance(address, str) else str(address[1])
                for row in pairwise({"errors": FACTORS["errors"], "closed": SUBSETS, "blocked": BLOCKED}):
                    with self.subTest(name, **row), started(
                            [program(name), *self.substituted(arguments, PORT=port, FILE=file)], **row) as client:
                        with time_limit():
                            output, errors = client.communicate()
                        self.assertEqual(client.returncode, 0, (output, errors))

    def test_an_ignored_interrupt_stays_ignored(self):
        """As in the background of a script. SIGTERM still stops the server."""
        for name in ("demo_server", "01_tcp_server"):
            with self.subTest(name), self.server(name, ignored=(signal.SIGINT,)) as (process, address, kind, question):
                process.send_signal(signal.SIGINT)
                self.assertTrue(ask(address, kind, question))
                self.ends(process, signal.SIGTERM)


class AtTheLimit(Inheritance):
    """A user who may have no more threads and processes. Root is not limited, so each server runs as a user of its own."""

    def test_sigterm_drains_and_ends_the_server(self):
        # A copy, since other users may not enter the folder that the project is in, if that is a home.
        server = os.path.join(self.enterContext(tempfile.TemporaryDirectory()), "echo_server")
        shutil.copy(program("echo_server"), server)
        os.chmod(os.path.dirname(server), 0o755)
        # Enough for the server to start, and too few for the clients.
        for number, (mixin, most) in enumerate((("none", 2), ("threading", 12), ("forking", 12), ("thread_pool", 5),
                                                ("fiber", 4), ("preforking", 6), ("preforking_fiber", 8))):
            user = 61000 + os.getpid() % 900 + 1000 * number

            def limited():
                resource.setrlimit(resource.RLIMIT_NPROC, (most, most))
                os.setgid(user)
                os.setuid(user)

            with self.subTest(mixin), subprocess.Popen(
                    [server, "--mixin", mixin, "--listen", TCP, "--drain", "1"], preexec_fn=limited,
                    stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True) as process:
                try:
                    with time_limit():
                        self.assertRegex(process.stdout.readline(), b"^listening on ")
                    address = address_of(process, STREAM)
                    with contextlib.ExitStack() as clients:
                        for _ in range(1 if mixin == "none" else 30):
                            client = clients.enter_context(socket.create_connection(address, PATIENCE))
                            client.sendall(b"line\n")
                        process.send_signal(signal.SIGTERM)
                        with time_limit():
                            self.assertIn(process.wait(), (0, 75))
                finally:
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
                    reap(process.pid)


if __name__ == "__main__":
    if "AtTheLimit" in sys.argv:
        if os.getuid() != 0:
            sys.exit(print("skipped: only root can run a server as another user") or 77)
        if "TSAN_OPTIONS" in os.environ:
            sys.exit(print("skipped: ThreadSanitizer starts threads of its own, which count") or 77)
    unittest.main()
