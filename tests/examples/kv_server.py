"""kv_server and clients of Redis: kv_server.py PART, one of Answers, Cli, Benchmark, Load.

`kv_server.py --record` asks redis-server anew for the answers that kv_server must give, in kv_server/answers.txt.
"""

import ast
import contextlib
import csv
import os
import pathlib
import pty
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import unittest

from case import Case, everything, port_of
from server import PATIENCE, Server, eventually, run, scratch, time_limit

HERE = pathlib.Path(__file__).resolve().parent / "kv_server"
REDIS = "7.0"  # whose answers are recorded
SKIPPED = 77

WORD = re.compile(rb'"((?:[^"\\]|\\.)*)"|(\S+)')


def words_of(line):
    """The words of a line of the script, as bytes."""
    def unquoted(quoted, plain):
        return ast.literal_eval(f'b"{quoted.decode()}"') if plain == b"" else plain
    return [unquoted(quoted, plain) for quoted, plain in WORD.findall(line.encode())]


def array(words):
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


class Client:
    """As much of a client as it takes."""

    def __init__(self, connection):
        self.connection = connection
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        if connection.family != socket.AF_UNIX:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = connection.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.connection.close()

    def send(self, bytes, piece=None):
        for begin in range(0, len(bytes), piece or len(bytes)):
            self.connection.sendall(bytes[begin:begin + (piece or len(bytes))])

    def receive(self):
        """The bytes of one answer."""
        line = self.file.readline()
        assert line.endswith(b"\r\n"), f"the connection has ended after {line!r}"
        kind, number = line[:1], line[1:-2]
        if kind == b"$" and int(number) >= 0:
            return line + self.file.read(int(number) + 2)
        if kind == b"*" and int(number) > 0:
            return line + b"".join(self.receive() for _ in range(int(number)))
        return line

    def ask(self, *words):
        self.send(array(words))
        return self.receive()

    def ask_raw(self, bytes, piece=None):
        """All answers to these bytes, of which there may be any number."""
        end = b"$7\r\nthe end\r\n"
        self.send(bytes, piece)
        self.send(array([b"ECHO", b"the end"]))
        answers = []
        while not answers or answers[-1] != end:
            answers.append(self.receive())
        return b"".join(answers[:-1])


def parsed(answer):
    """What an answer means: bytes with their type in front, or a list."""
    def take(rest):
        line, _, rest = rest.partition(b"\r\n")
        if line[:1] == b"*":
            elements = []
            for _ in range(int(line[1:])):
                element, rest = take(rest)
                elements.append(element)
            return elements, rest
        if line[:1] == b"$" and int(line[1:]) >= 0:
            size = int(line[1:])
            return b"$" + rest[:size], rest[size + 2:]
        return line, rest
    value, rest = take(answer)
    assert rest == b"", rest
    return value


def form(value):
    return [form(element) for element in value] if isinstance(value, list) else value[:1]


def first(count, value):
    return [element[:count] if isinstance(element, list) else element for element in value]


def scanned(client, options):
    """All keys that SCAN shows, each once."""
    keys, cursor = set(), b"0"
    while True:
        head, found = parsed(client.ask(b"SCAN", cursor, *options))
        keys.update(found)
        cursor = head[1:]
        assert int(cursor) < 1 << 53, f"JavaScript loses a part of cursor {cursor}"
        if cursor == b"0":
            return sorted(keys)


def about(most, answer):
    value = int(answer[1:])
    assert most * 2 // 5 <= value <= most, value
    return f"about {most}"


class Speaker:
    """Says the lines of the script to a server."""

    def __init__(self, connect):
        self.connect = connect
        self.client = Client(connect())

    def answer(self, line):
        """What is compared of the answer to a line."""
        words = words_of(line)
        special = getattr(self, words[0].decode(), None) if re.fullmatch(rb"[a-z]+", words[0]) else None
        return special(*words[1:]) if special and words[0].decode() in SPECIAL else self.client.ask(*words)

    def sorted(self, *words):
        return sorted(parsed(self.client.ask(*words)))

    def form(self, *words):
        return form(parsed(self.client.ask(*words)))

    def about(self, most, *words):
        return about(int(most), self.client.ask(*words))

    def until(self, wanted, *words):
        eventually(lambda: self.client.ask(*words) == wanted)
        return wanted

    def first(self, count, *words):
        return first(int(count), parsed(self.client.ask(*words)))

    def scan(self, *options):
        return scanned(self.client, options)

    def raw(self, bytes):
        return self.client.ask_raw(bytes)

    def bytewise(self, bytes):
        return self.client.ask_raw(bytes, piece=1)

    def ends(self, bytes):
        with Client(self.connect()) as client:
            client.send(bytes)
            said = b""
            with contextlib.suppress(ConnectionResetError):  # it has not read all
                while piece := client.file.read1():
                    said += piece
            return said


SPECIAL = ("sorted", "form", "about", "until", "first", "scan", "raw", "bytewise", "ends")


def script():
    lines = (HERE / "conversation.txt").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def answers_of(connect):
    speaker = Speaker(connect)
    with speaker.client:
        speaker.client.ask(b"FLUSHDB")
        return [speaker.answer(line) for line in script()]


def recorded():
    return [ast.literal_eval(line) for line in (HERE / "answers.txt").read_text().splitlines()]


def redis_version():
    if not shutil.which("redis-server"):
        return None
    return re.search(r"v=(\S+)", run("redis-server", "--version").stdout).group(1)


@contextlib.contextmanager
def redis_server():
    """Redis on a socket in a folder that goes with it; gives a function that connects."""
    with scratch() as folder:
        path = os.path.join(folder, "redis")
        command = ["redis-server", "--port", "0", "--unixsocket", path, "--save", "", "--appendonly", "no",
                   "--databases", "1", "--dir", folder]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

        def connect():
            connection = socket.socket(socket.AF_UNIX)
            try:
                connection.settimeout(PATIENCE)
                connection.connect(path)
            except BaseException:
                connection.close()
                raise
            return connection

        def is_up():
            with contextlib.suppress(FileNotFoundError, ConnectionRefusedError):
                with Client(connect()):
                    return True
        try:
            eventually(is_up)
            yield connect
        finally:
            process.terminate()
            process.wait()


def kv_server(mixin, *options, url="tcp://127.0.0.1:0"):
    return Server("kv_server", "--listen", url, "--mixin", mixin, *options)


class Answers(Case):
    maxDiff = None

    def assert_answers(self, expected, given):
        self.assertEqual(len(expected), len(script()), "record the answers anew: kv_server.py --record")
        for line, wanted, got in zip(script(), expected, given):
            with self.subTest(line[:200]):
                self.assertEqual(got, wanted)

    def test_the_script_is_long_enough(self):
        self.assertGreater(len(script()), 200)

    def test_under_threading(self):
        with scratch() as folder, kv_server("threading", url=f"unix://{folder}/s") as server:
            self.assert_answers(recorded(), answers_of(server.client))
            server.end(signal.SIGTERM)

    def test_under_fibers(self):
        with kv_server("fiber") as server:
            self.assert_answers(recorded(), answers_of(server.client))
            server.end(signal.SIGTERM)

    def test_in_a_pool_of_threads(self):
        with kv_server("thread_pool") as server:
            self.assert_answers(recorded(), answers_of(server.client))
            server.end(signal.SIGTERM)

    def test_the_end_does_not_wait_for_idle_clients(self):
        for mixin in ("none", "threading", "thread_pool", "fiber"):
            with self.subTest(mixin), kv_server(mixin, "--drain", "3600") as server:
                with Client(server.client()) as client:
                    self.assertEqual(client.ask(b"PING"), b"+PONG\r\n")
                    server.end(signal.SIGTERM)

    def test_without_a_mixin_one_client_after_the_other(self):
        with kv_server("none") as server:
            for _ in range(2):
                with Client(server.client()) as client:
                    self.assertIn(client.ask(b"INCR", b"clients"), (b":1\r\n", b":2\r\n"))
            server.end(signal.SIGTERM)

    def test_are_those_of_redis(self):
        version = redis_version()
        if version is None or not version.startswith(REDIS + "."):
            print(f"redis-server {version or 'is not installed'}: compared with the recorded answers of {REDIS} only")
            return
        with redis_server() as connect:
            self.assert_answers(recorded(), answers_of(connect))

    def test_there_is_no_resp3(self):
        with kv_server("fiber") as server, Client(server.client()) as client:
            for words in ([b"HELLO", b"3"], [b"hello", b"3", b"AUTH", b"default", b"any"]):
                self.assertEqual(client.ask(*words), b"-NOPROTO unsupported protocol version\r\n")

    def test_what_is_kept_is_gone_with_the_server(self):
        for expected in (b":1\r\n", b":1\r\n"):
            with kv_server("fiber") as server, Client(server.client()) as client:
                self.assertEqual(client.ask(b"INCR", b"n"), expected)


class Load(Case):
    """Many clients at a time."""

    CLIENTS = 16
    REQUESTS = 300

    def count(self, server):
        """Has clients count together, and each for itself; pipelined, and with others that break off."""
        def client(number):
            with Client(server.client()) as client:
                own = b"own %d" % number
                for _ in range(self.REQUESTS // 10):
                    client.send(10 * (array([b"INCR", b"all"]) + array([b"INCR", own])))
                    answers[number] += [client.receive() for _ in range(20)][1::2]
        answers = [[] for _ in range(self.CLIENTS)]
        threads = [threading.Thread(target=client, args=(number,)) for number in range(self.CLIENTS)]
        for thread in threads:
            thread.start()
        for _ in range(20):
            with Client(server.client()) as broken:
                broken.send(b"*2\r\n$3\r\nGET\r\n$100000\r\n")
        for thread in threads:
            thread.join()
        for own in answers:
            self.assertEqual(own, [b":%d\r\n" % number for number in range(1, self.REQUESTS + 1)])
        with Client(server.client()) as client:
            total = b"%d" % (self.CLIENTS * self.REQUESTS)
            self.assertEqual(client.ask(b"GET", b"all"), b"$%d\r\n%s\r\n" % (len(total), total))

    def test_they_share_the_data(self):
        for mixin, options in (("threading", []), ("thread_pool", ["--workers", "40"]), ("fiber", ["--workers", "1"]),
                               ("fiber", ["--workers", "4"])):
            with self.subTest(mixin, options=options), kv_server(mixin, *options) as server:
                self.count(server)
                server.end(signal.SIGTERM)

    def test_a_client_that_takes_no_answers_holds_up_nobody(self):
        """Its answers fill every buffer; while its handler waits to send more, it must hold no lock."""
        for mixin, options in (("threading", []), ("fiber", ["--workers", "1"])):
            with self.subTest(mixin), kv_server(mixin, *options) as server:
                value = b"x" * 1_000_000
                with Client(server.client()) as client, Client(server.client()) as deaf:
                    self.assertEqual(client.ask(b"SET", b"key", value), b"+OK\r\n")
                    deaf.send(64 * array([b"GET", b"key"]))
                    for _ in range(20):
                        self.assertEqual(client.ask(b"GET", b"key"), b"$1000000\r\n%s\r\n" % value)
                        self.assertEqual(client.ask(b"SET", b"key", value), b"+OK\r\n")
                server.end(signal.SIGTERM)

    def test_large_values_pass(self):
        value = bytes(range(256)) * 80_000  # 20 MB
        for mixin in ("threading", "fiber"):
            with self.subTest(mixin), kv_server(mixin) as server, Client(server.client()) as client:
                self.assertEqual(client.ask(b"SET", b"key", value), b"+OK\r\n")
                self.assertEqual(client.ask(b"GET", b"key"), b"$%d\r\n%s\r\n" % (len(value), value))

    def test_a_value_may_be_as_long_as_the_server_says(self):
        with kv_server("fiber", "--max-bulk", "1000") as server:
            with Client(server.client()) as client:
                self.assertEqual(client.ask(b"SET", b"key", b"x" * 1000), b"+OK\r\n")
                client.send(array([b"SET", b"key", b"x" * 1001]))
                self.assertEqual(client.receive(), b"-ERR Protocol error: invalid bulk length\r\n")

    def test_a_client_may_send_its_whole_pipeline_before_it_reads(self):
        count = 20_000
        value = b"x" * 1000
        answer = b"$1000\r\n" + value + b"\r\n"
        for mixin in ("none", "threading", "thread_pool", "fiber"):
            with self.subTest(mixin), kv_server(mixin) as server, Client(server.client()) as client:
                client.send(count * array([b"ECHO", value]))
                for _ in range(count):
                    self.assertEqual(client.receive(), answer)

    def test_a_client_that_reads_nothing_is_closed_at_the_limit(self):
        with kv_server("fiber", "--max-unread", "100000") as server, Client(server.client()) as client:
            port = client.connection.getsockname()[1]
            with self.assertRaises((ConnectionResetError, BrokenPipeError)):
                while True:
                    client.send(1000 * array([b"ECHO", b"x" * 1000]))
            self.assertIn(f"closed the connection of 127.0.0.1:{port}: it has sent requests", server.errors())

    def test_a_search_for_keys_holds_up_nobody(self):
        """Neither the store's lock nor the thread that fibers share."""
        for mixin, options in (("threading", []), ("fiber", ["--workers", "1"])):
            with self.subTest(mixin), kv_server(mixin, *options) as server:
                with Client(server.client()) as client, Client(server.client()) as other:
                    key = b"a" * 60_000
                    client.send(b"".join(array([b"SET", b"%s%d" % (key, number), b""]) for number in range(600)))
                    self.assertEqual([client.receive() for _ in range(600)], [b"+OK\r\n"] * 600)
                    client.send(array([b"KEYS", b"*" + b"a" * 1000 + b"b"]))  # takes half a minute
                    for number in range(20):
                        self.assertEqual(other.ask(b"SET", b"n", b"%d" % number), b"+OK\r\n")
                    client.connection.setblocking(False)
                    self.assertRaises(BlockingIOError, client.connection.recv, 1)

    def test_an_http_request_runs_nothing(self):
        for mixin in ("none", "threading", "thread_pool", "fiber"):
            with self.subTest(mixin), kv_server(mixin) as server:
                for begin in (b"POST / HTTP/1.1\r\nHost: localhost\r\n", b"post /\r\n",
                              b"GET / HTTP/1.1\r\nhost: localhost\r\n", b"PUT /a HTTP/1.1\r\n",
                              b"Accept: *\r\nHOST:localhost\r\n"):
                    with Client(server.client()) as browser, contextlib.suppress(ConnectionResetError):
                        browser.send(begin + b"Content-Length: 15\r\n\r\nSET pwned yes\r\n")
                        self.assertNotIn(b"+OK", everything(browser.connection))
                with Client(server.client()) as client:
                    self.assertEqual(client.ask(b"GET", b"pwned"), b"$-1\r\n")
                self.assertRegex(server.errors(), r"possible security attack: 127\.0\.0\.1:\d+ sent an HTTP request")

    def test_a_client_that_floods_is_aborted(self):
        with kv_server("fiber") as server, Client(server.client()) as client:
            with contextlib.suppress(ConnectionResetError, BrokenPipeError):
                client.send(b"x" * 10_000_000)
            with contextlib.suppress(ConnectionResetError):
                self.assertEqual(everything(client.connection), b"-ERR Protocol error: too big inline request\r\n")

    def test_keys_expire_that_nobody_looks_for(self):
        for mixin in ("threading", "fiber"):
            with self.subTest(mixin), kv_server(mixin) as server, Client(server.client()) as client:
                client.send(b"".join(array([b"SET", b"key %d" % i, b"", b"PX", b"1"]) for i in range(1000)))
                self.assertEqual([client.receive() for _ in range(1000)], [b"+OK\r\n"] * 1000)
                client.ask(b"SET", b"stays", b"")
                eventually(lambda: client.ask(b"DBSIZE") == b":1\r\n")

    def test_what_makes_no_sense_is_refused(self):
        for arguments in (["--mixin", "forking"], ["--max-bulk", "0"], ["--max-unread", "0"], ["--busy-poll", "1001"],
                          ["--listen", "udp://127.0.0.1:0"]):
            self.assert_fails(2, run(os.path.join(os.environ["SOCKSERV_BIN"], "kv_server"), *arguments), arguments[0])


class Cli(Case):
    """redis-cli"""

    def setUp(self):
        self.server = self.enterContext_(kv_server("fiber"))

    def enterContext_(self, manager):  # enterContext() is there from Python 3.11 on
        value = manager.__enter__()
        self.addCleanup(manager.__exit__, None, None, None)
        return value

    def cli(self, *arguments, **settings):
        result = run("redis-cli", "-p", port_of(self.server), *arguments, **settings)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        return result.stdout

    def test_it_asks_and_shows(self):
        self.assertEqual(self.cli("set", "greeting", "hello world"), "OK\n")
        self.assertEqual(self.cli("--no-raw", "get", "greeting"), '"hello world"\n')
        self.assertEqual(self.cli("--no-raw", "mget", "greeting", "nope"), '1) "hello world"\n2) (nil)\n')
        self.assertEqual(self.cli("-x", "set", "file", input="from a file"), "OK\n")
        self.assertEqual(self.cli("-r", "3", "incr", "n"), "1\n2\n3\n")
        self.assertEqual(sorted(self.cli("--scan", "--pattern", "gr*").split()), ["greeting"])
        self.assertIn("db0:keys=3,expires=0,avg_ttl=0", self.cli("info"))

    def test_it_says_what_is_wrong(self):
        result = run("redis-cli", "-e", "-p", port_of(self.server), "get")
        self.assertEqual(result.returncode, 1)
        self.assertIn("ERR wrong number of arguments for 'get' command", result.stdout + result.stderr)

    def test_it_reads_requests_from_its_input(self):
        self.assertEqual(self.cli(input="set a 1\nincr a\nget a\n"), "OK\n2\n2\n")

    def test_it_pipes_many(self):
        requests = "".join(f"SET key:{i} value:{i}\r\n" for i in range(10_000))
        self.assertIn("errors: 0, replies: 10000", self.cli("--pipe", input=requests))
        self.assertEqual(self.cli("dbsize"), "10000\n")
        self.assertEqual(len(self.cli("--scan").split()), 10_000)

    def test_it_helps_those_who_type(self):
        """At a terminal, redis-cli asks COMMAND DOCS for what it shows as help."""
        ours, terminal = pty.openpty()
        environment = {**os.environ, "TERM": "dumb", "REDISCLI_HISTFILE": "/dev/null"}
        process = subprocess.Popen(["redis-cli", "-p", port_of(self.server)], stdin=terminal, stdout=terminal,
                                   stderr=terminal, env=environment, start_new_session=True)
        os.close(terminal)
        try:
            os.write(ours, b"help set\nset typed 1\nquit\n")
            shown = b""
            with time_limit(), contextlib.suppress(OSError):  # the terminal is gone with the last who had it
                while piece := os.read(ours, 65536):
                    shown += piece
        finally:
            process.kill()
            process.wait()
            os.close(ours)
        self.assertIn(b"Sets the value of a key", shown)
        self.assertEqual(self.cli("get", "typed"), "1\n")


class Benchmark(Case):
    """redis-benchmark"""

    def test_it_finds_everything_that_it_asks_for(self):
        for mixin in ("threading", "fiber"):
            for options in ([], ["-P", "16"], ["-P", "3", "-r", "100", "-d", "1000"]):
                with self.subTest(mixin, options=options), kv_server(mixin) as server:
                    result = run("redis-benchmark", "-p", port_of(server), "-c", "20", "-n", "2000", "-t",
                                 "ping_inline,ping_mbulk,set,get,incr", "--csv", *options)
                    self.assertEqual((result.returncode, result.stderr), (0, ""))
                    tests = [row["test"] for row in csv.DictReader(result.stdout.splitlines())]
                    self.assertEqual(tests, ["PING_INLINE", "PING_MBULK", "SET", "GET", "INCR"])
                    with Client(server.client()) as client:
                        requests = re.search(rb"total_commands_processed:(\d+)", client.ask(b"INFO", b"stats"))
                        self.assertGreaterEqual(int(requests[1]), 10_000)
                    server.end(signal.SIGTERM)


def record():
    version = redis_version()
    if version is None or not version.startswith(REDIS + "."):
        sys.exit(f"it takes redis-server {REDIS}, not {version}")
    with redis_server() as connect:
        answers = answers_of(connect)
    (HERE / "answers.txt").write_text("".join(f"{answer!r}\n" for answer in answers))


if __name__ == "__main__":
    needed = {"Cli": "redis-cli", "Benchmark": "redis-benchmark"}.get(sys.argv[-1])
    if sys.argv[1:] == ["--record"]:
        record()
    elif needed and not shutil.which(needed):
        print(f"skipped: there is no {needed}; tools/setup --bench installs it")
        sys.exit(SKIPPED)
    else:
        unittest.main()
