"""10, commands on a server: remote_command.py MIXIN TEST_CLASS"""

import contextlib
import itertools
import json
import os
import pathlib
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import unittest

from case import Case
from handshake import authenticate_as_client
from keys import KEY, OTHER_KEY, key_file
from server import PATIENCE, Server, eventually, program, run, time_limit

MIXIN = sys.argv.pop(1)
NO_COMMAND = 125
IGNORES_SIGTERM = 'trap "" TERM; echo ready; while :; do sleep 0.1; done'

numbers = itertools.count()


def long_time():
    """An argument of sleep(1) that no other process has; so it can be told whether that is running."""
    return f"1000.{os.getpid()}{next(numbers):03}"


def arguments(process):
    try:
        return (process / "cmdline").read_bytes()
    except OSError:
        return b""  # it has ended


def with_argument(mark):
    """The processes that have this in their arguments, each with all of them."""
    lines = ((int(process.name), arguments(process)) for process in pathlib.Path("/proc").glob("[0-9]*"))
    return {process: line for process, line in lines if mark.encode() in line}


def running(mark):
    """What is left of a command, other than its keeper and its client."""
    return [process for process, line in with_argument(mark).items() if b"10_command_" not in line]


def none_running(mark):
    """Waits until nothing is left, and the keeper and the client have gone, too."""
    eventually(lambda: not with_argument(mark))


def children_of(process):
    children = []
    for task in pathlib.Path(f"/proc/{process}/task").glob("*/children"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # the thread exited meanwhile
            children += task.read_bytes().split()
    return children


def count_of_descriptors(process):
    return len(os.listdir(f"/proc/{process}/fd"))


class Raw:
    """A client that says what it likes."""

    def __init__(self, server, receive_buffer=None):
        self.socket = socket.socket()
        self.socket.settimeout(PATIENCE)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.connect(server.address)
        assert authenticate_as_client(self.socket, KEY)
        self.file = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.socket.close()

    def send(self, message):
        self.socket.sendall(struct.pack("!I", len(message)) + message)

    def order(self, *command, **more):
        self.send(json.dumps({"command": command, **more}).encode())

    def receive(self):
        header = self.file.read(4)
        assert len(header) == 4, "the server has ended the connection"
        return self.file.read(*struct.unpack("!I", header))

    def result(self):
        message = self.receive()
        assert message[:1] == b"r", message
        return json.loads(message[1:])


class CommandCase(Case):

    def setUp(self):
        self.key = key_file(self, KEY)
        limit = time_limit()
        limit.__enter__()
        self.addCleanup(limit.__exit__, None, None, None)

    @contextlib.contextmanager
    def server(self, *options):
        with Server("10_command_server", "--listen", "tcp://127.0.0.1:0", "--mixin", MIXIN, "--key-file", self.key,
                    *options) as server:
            yield server

    @contextlib.contextmanager
    def serving(self, *options):
        """A server that is expected to end well, to have nothing to complain of, and no children left."""
        with self.server(*options) as server:
            yield server
            if not MIXIN.startswith("preforking"):  # whose workers are children
                eventually(lambda: not children_of(server.process.pid))
            server.end(signal.SIGTERM)
            self.assertEqual(server.errors(), "")

    def command_line(self, server, *command, options=(), key=None):
        return [program("10_command_client"), "--server", server.url, "--key-file", key or self.key, *options, "--",
                *command]

    def run_command(self, server, *command, options=(), key=None):
        """Exit code, output, errors: of the client, and so of the command."""
        result = subprocess.run(self.command_line(server, *command, options=options, key=key), capture_output=True,
                                stdin=subprocess.DEVNULL, timeout=PATIENCE)
        return result.returncode, result.stdout, result.stderr

    @contextlib.contextmanager
    def started(self, server, *command):
        """A client whose command is running, and has printed something."""
        client = subprocess.Popen(self.command_line(server, *command), stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            assert client.stdout.readline()
            yield client
        finally:
            client.kill()
            client.communicate()


class Essentials(CommandCase):
    """Where the mixin may matter."""

    def test_output_and_errors_are_told_apart(self):
        with self.serving() as server:
            self.assertEqual(self.run_command(server, "sh", "-c", "echo out; echo err >&2; echo again"),
                             (0, b"out\nagain\n", b"err\n"))

    def test_output_comes_while_the_command_runs(self):
        with self.serving() as server:
            folder = tempfile.mkdtemp()
            self.addCleanup(os.rmdir, folder)
            script = f"echo first; while [ -d {folder}/wait ]; do sleep 0.05; done; echo last"
            os.mkdir(folder + "/wait")
            with self.started(server, "sh", "-c", script) as client:  # which has waited for the first line
                os.rmdir(folder + "/wait")
                self.assertEqual(client.stdout.read(), b"last\n")
                self.assertEqual(client.wait(PATIENCE), 0)

    def test_exit_codes(self):
        with self.serving() as server:
            for code in (0, 1, 3, 127, 128, 255):
                self.assertEqual(self.run_command(server, "sh", "-c", f"exit {code}"), (code, b"", b""))

    def test_a_command_that_does_not_exist(self):
        with self.serving() as server:
            for command, reason in (("no-such-command", b"no-such-command: No such file or directory"),
                                    ("/tmp", b"/tmp: Permission denied"), ("", b"No such file or directory")):
                code, output, errors = self.run_command(server, command)
                self.assertEqual((code, output), (NO_COMMAND, b""))
                self.assertIn(reason, errors)

    def test_a_command_that_never_ends(self):
        mark = long_time()
        with self.serving("--time-limit", "1") as server:
            self.assertEqual(self.run_command(server, "sleep", mark),
                             (128 + signal.SIGTERM, b"",
                              b"10_command_client: ended by the server: over its limit of time\n"))
            self.assertEqual(running(mark), [])
            self.assertEqual(self.run_command(server, "echo", "next"), (0, b"next\n", b""))

    def test_a_command_that_prints_without_end(self):
        with self.serving("--output-limit", "100000") as server:
            for script in ("exec yes", "exec yes >&2"):
                code, output, errors = self.run_command(server, "sh", "-c", script)
                self.assertEqual(code, 128 + signal.SIGTERM)
                message = b"10_command_client: ended by the server: over its limit of output\n"
                self.assertTrue(errors.endswith(message))
                self.assertEqual((output + errors.removesuffix(message)), b"y\n" * 50_000)

    def test_what_a_command_leaves_behind_is_ended(self):
        for script in ("sleep {0} & echo started", "sh -c 'sleep {0} & sleep {0}' & echo started",
                       "setsid sleep {0} & echo started", "(setsid sh -c 'sleep {0} & sleep {0}' &) ; echo started",
                       "nohup sh -c '" + IGNORES_SIGTERM.replace("echo ready; ", "") + "' {0} & echo started"):
            mark = long_time()
            with self.subTest(script), self.serving() as server:
                self.assertEqual(self.run_command(server, "sh", "-c", script.format(mark))[:2], (0, b"started\n"))
                self.assertEqual(running(mark), [])

    def test_the_client_goes_away(self):
        for number in (signal.SIGTERM, signal.SIGKILL):
            mark = long_time()
            with self.server() as server:
                with self.started(server, "sh", "-c", f"echo started; sleep {mark} & setsid sleep {mark}") as client:
                    client.send_signal(number)
                    none_running(mark)
                eventually(lambda: "the client does not want the command any more" in server.errors())
                server.end(signal.SIGTERM)

    def test_the_server_waits_for_commands_before_it_ends(self):
        with self.server() as server:
            with self.started(server, "sh", "-c", "echo started; sleep 0.5; echo done; exit 7") as client:
                server.signal(signal.SIGTERM)
                self.assertEqual(client.stdout.read(), b"done\n")
                self.assertEqual(client.wait(PATIENCE), 7)
            server.ends(0)

    def test_the_server_is_stopped_in_the_middle(self):
        for command in (["sh", "-c", "echo started; sleep {0} & setsid sleep {0}"],
                        ["sh", "-c", IGNORES_SIGTERM, "{0}"]):
            mark = long_time()
            with self.subTest(command), self.server("--drain", "0") as server:
                with self.started(server, *(each.format(mark) for each in command)) as client:
                    server.end(signal.SIGTERM, 75)
                    self.assertEqual(client.wait(PATIENCE), NO_COMMAND)
                    none_running(mark)

    def test_the_server_is_killed(self):
        mark = long_time()
        script = f"echo started; sleep {mark} & setsid sleep {mark}"
        with self.server() as server, self.started(server, "sh", "-c", script):
            os.killpg(server.process.pid, signal.SIGKILL)
            none_running(mark)

    def test_a_client_without_the_key_runs_nothing(self):
        with tempfile.TemporaryDirectory() as folder, self.server() as server:
            code, output, _ = self.run_command(server, "touch", folder + "/file", key=key_file(self, OTHER_KEY))
            self.assertEqual((code, output), (NO_COMMAND, b""))
            eventually(lambda: "was rejected" in server.errors())
            with server.client() as client:
                client.sendall(struct.pack("!I", 40) + json.dumps({"command": ["touch", folder + "/file"]}).encode())
                self.assertTrue(client.recv(41))  # the greeting; then what it has sent is taken for a proof
            server.end(signal.SIGTERM)
            self.assertEqual(os.listdir(folder), [])

    @unittest.skipIf(MIXIN == "none", "one at a time")
    def test_a_long_command_holds_up_no_other(self):
        workers = {"thread_pool": 2, "preforking": 2, "fiber": 1, "preforking_fiber": 1}
        options = ["--workers", str(workers[MIXIN])] if MIXIN in workers else []
        with self.serving(*options) as server:
            with self.started(server, "sh", "-c", "echo started; sleep 0.5; echo ended") as client:
                self.assertEqual(self.run_command(server, "echo", "meanwhile"), (0, b"meanwhile\n", b""))
                self.assertEqual(client.communicate()[0], b"ended\n")

    def test_nothing_piles_up(self):
        with self.serving("--workers", "1") if MIXIN.endswith(("fiber", "pool")) else self.serving() as server:
            def run_some():
                for _ in range(10):
                    self.assertEqual(self.run_command(server, "sh", "-c", "echo hello; sleep 0 &"),
                                     (0, b"hello\n", b""))
                return count_of_descriptors(server.process.pid)
            counts = [run_some() for _ in range(4)]
            growth = [after - before for before, after in itertools.pairwise(counts)]
            self.assertLess(min(growth), 10, counts)  # not one for each; threads keep some, which others use again


class Details(CommandCase):
    """What depends on it less."""

    def test_signals(self):
        with self.serving() as server:
            for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV):
                self.assertEqual(self.run_command(server, "sh", "-c", f"kill -{number.value} $$"),
                                 (128 + number, b"", b""))

    def test_bytes_pass_as_they_are(self):
        content = "héllo 你好\n".encode() + bytes(range(256)) + b"\xff\xfe\xc3" + os.urandom(1 << 20)
        with tempfile.NamedTemporaryFile() as file, self.serving() as server:
            file.write(content)
            file.flush()
            code, output, errors = self.run_command(server, "cat", file.name)
            self.assertEqual((code, errors), (0, b""))
            self.assertTrue(output == content)
            code, output, errors = self.run_command(server, "sh", "-c", f"cat {file.name} >&2")
            self.assertEqual((code, output), (0, b""))
            self.assertTrue(errors == content)

    def test_arguments_pass_as_they_are(self):
        odd = ["", " ", "two words", "*", "$HOME", "`id`", "$(id)", "; id", "| id", "&& id", "> /tmp/x", "'", '"', "\\",
               "-n", "--help", "ünï 你好", "line\nbreak"]
        with self.serving() as server:
            self.assertEqual(self.run_command(server, "printf", "<%s>", *odd),
                             (0, "".join(f"<{each}>" for each in odd).encode(), b""))

    def test_an_argument_that_is_no_text(self):
        with self.serving() as server:
            code, output, errors = self.run_command(server, "echo", b"\xff")
            self.assertEqual((code, output), (NO_COMMAND, b""))
            self.assertIn(b"UTF-8", errors)

    def test_the_directory(self):
        with tempfile.TemporaryDirectory() as folder, self.serving() as server:
            self.assertEqual(self.run_command(server, "pwd", options=["--directory", folder]),
                             (0, folder.encode() + b"\n", b""))
            self.assertEqual(self.run_command(server, "pwd"), (0, os.getcwd().encode() + b"\n", b""))
            code, _, errors = self.run_command(server, "pwd", options=["--directory", folder + "/none"])
            self.assertEqual(code, NO_COMMAND)
            self.assertIn(b"none: No such file or directory", errors)

    def test_nothing_is_inherited(self):
        os.environ["SOCKSERV_KEY"] = "not for commands"
        self.addCleanup(os.environ.pop, "SOCKSERV_KEY")
        with self.serving() as server:
            _, output, _ = self.run_command(server, "env")
            self.assertEqual({line.split(b"=")[0] for line in output.splitlines()}, {b"PATH", b"LANG", b"HOME"})
            _, output, _ = self.run_command(server, "ls", "/proc/self/fd")
            self.assertEqual(output.split(), [b"0", b"1", b"2", b"3"])  # the last is that of the folder
            _, output, _ = self.run_command(server, "readlink", "/proc/self/fd/0")
            self.assertEqual(output, b"/dev/null\n")
            _, output, _ = self.run_command(server, "grep", "^Sig[BI]", "/proc/self/status")
            masks = {line.split()[0]: int(line.split()[1], 16) for line in output.splitlines()}
            self.assertEqual({name: mask & 0x7fffffff for name, mask in masks.items()}, {b"SigBlk:": 0, b"SigIgn:": 0})

    def test_it_has_a_group_of_its_own(self):
        with self.serving() as server:
            _, output, _ = self.run_command(server, "sh", "-c", 'echo $$; cut -d " " -f 5 /proc/$$/stat')
            process, group = map(int, output.split())
            self.assertEqual(process, group)

    def test_a_shell_is_refused_unless_it_is_allowed(self):
        with self.serving() as server:
            code, output, errors = self.run_command(server, "echo hello", options=["--shell"])
            self.assertEqual((code, output), (NO_COMMAND, b""))
            self.assertIn(b"this server runs no shell", errors)

    def test_an_allowed_shell_is_used_only_if_it_is_asked_for(self):
        with self.serving("--shell") as server:
            script = "echo $((1 + 2)) | tr 3 4; exit 5"
            self.assertEqual(self.run_command(server, script, options=["--shell"]), (5, b"4\n", b""))
            self.assertEqual(self.run_command(server, "echo", "$((1 + 2)) | tr 3 4"),
                             (0, b"$((1 + 2)) | tr 3 4\n", b""))
            code, output, errors = self.run_command(server, "echo", "a", options=["--shell"])
            self.assertEqual((code, output), (NO_COMMAND, b""))
            self.assertIn(b"a shell takes one string", errors)

    def test_a_command_that_ignores_sigterm(self):
        mark = long_time()
        with self.serving("--time-limit", "1") as server:
            code, output, errors = self.run_command(server, "sh", "-c", IGNORES_SIGTERM, mark)
            self.assertEqual((code, output), (128 + signal.SIGKILL, b"ready\n"))
            self.assertIn(b"limit of time", errors)
            self.assertEqual(running(mark), [])

    def test_a_command_that_is_stopped(self):
        """SIGTERM waits until it goes on, so it has to."""
        mark = long_time()
        with self.serving("--time-limit", "1") as server:
            self.assertEqual(self.run_command(server, "sh", "-c", "kill -STOP $$", mark)[0], 128 + signal.SIGTERM)
            self.assertEqual(running(mark), [])

    def test_as_much_output_as_is_allowed(self):
        with self.serving("--output-limit", "100000") as server:
            for size, code in ((100_000, 0), (100_001, None)):
                result = self.run_command(server, "head", "-c", str(size), "/dev/zero")
                self.assertEqual((len(result[1]), b"limit of output" in result[2]), (100_000, code is None))

    def test_a_client_that_takes_no_output(self):
        mark = long_time()
        with self.server("--output-limit", str(1 << 40)) as server:
            with Raw(server, receive_buffer=4096) as client:
                client.order("yes", mark)
                eventually(lambda: "the client does not take the output" in server.errors())
                none_running(mark)
            server.end(signal.SIGTERM)

    def test_the_time_limit_holds_though_the_client_takes_no_output(self):
        mark = long_time()
        with self.server("--output-limit", str(1 << 40), "--time-limit", "1") as server:
            with Raw(server, receive_buffer=4096) as client:
                client.order("yes", mark)
                eventually(lambda: running(mark))
                none_running(mark)
            server.end(signal.SIGTERM)

    def test_the_client_says_more_than_it_may(self):
        mark = long_time()
        with self.server() as server, Raw(server) as client:
            client.order("sh", "-c", f"echo started; sleep {mark}")
            self.assertEqual(client.receive(), b"ostarted\n")
            client.socket.sendall(b"x")
            none_running(mark)
            server.end(signal.SIGTERM)

    def test_what_comes_right_behind_the_order_ends_the_command_too(self):
        mark = long_time()
        order = json.dumps({"command": ["sleep", mark]}).encode()
        with self.server() as server:
            for behind in (b"x", struct.pack("!I", len(order)) + order):
                with self.subTest(behind), Raw(server) as client:
                    client.socket.sendall(struct.pack("!I", len(order)) + order + behind)
                    self.assertEqual(client.file.read(), b"")
                    self.assertEqual(running(mark), [])
            eventually(lambda: server.errors().count("the client does not want the command any more") == 2)
            server.end(signal.SIGTERM)

    def test_the_server_is_ended_at_once(self):
        """By a second signal, while it drains."""
        mark = long_time()
        with self.server() as server, self.started(server, "sh", "-c", f"echo started; sleep {mark}"):
            server.is_cut_short(signal.SIGTERM)
            none_running(mark)

    def test_the_keeper_is_told_to_end(self):
        """As a service manager tells all processes."""
        mark = long_time()
        with self.server() as server:
            with self.started(server, "sh", "-c", f"echo started; exec sleep {mark}") as client:
                keeper, = (process for process, line in with_argument(mark).items() if b"10_command_keeper" in line)
                os.kill(keeper, signal.SIGTERM)
                self.assertEqual(client.wait(PATIENCE), 128 + signal.SIGTERM)
                none_running(mark)
            server.end(signal.SIGTERM)

    def test_orders_that_make_no_sense(self):
        with self.server("--shell") as server:
            for message, reason in ((b"", "no JSON object"), (b"ls", "no JSON object"), (b"[]", "no JSON object"),
                                    (b"\xff", "no JSON object"), (b"{}", '"command" must be'),
                                    (b'{"command": []}', '"command" must be'),
                                    (b'{"command": "ls"}', '"command" must be'),
                                    (b'{"command": ["ls", 1]}', '"command" must be'),
                                    (b'{"command": ["l\\u0000s"]}', "an argument has a NUL"),
                                    (b'{"command": ["ls"], "shell": 1}', '"shell" must be'),
                                    (b'{"command": ["ls"], "directory": 1}', '"directory" must be'),
                                    (b'{"command": ["ls"], "directory": "\\u0000"}', "the directory has a NUL"),
                                    (b'{"command": ' + b"[" * 100_000, "no JSON object"),
                                    (b'{"command": ' + b"[" * 50_000 + b"]" * 50_000 + b"}", '"command" must be')):
                with self.subTest(message[:50]), Raw(server) as client:
                    client.send(message)
                    self.assertIn(reason, client.result()["error"])
            server.end(signal.SIGTERM)

    def test_an_order_that_is_too_long(self):
        with self.server() as server:
            with Raw(server) as client:
                client.socket.sendall(struct.pack("!I", 1 << 20))
                self.assertEqual(client.file.read(), b"")
            self.assertEqual(self.run_command(server, "echo", "hello")[1], b"hello\n")
            server.end(signal.SIGTERM)


if __name__ == "__main__":
    unittest.main()
