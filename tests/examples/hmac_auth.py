"""09, clients that must know a key: hmac_auth.py TEST_CLASS."""

import contextlib
import multiprocessing
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import unittest
from multiprocessing.connection import Client

from case import Case
from handshake import pretend_to_be_server
from keys import KEY, OTHER_KEY, key_file
from server import PATIENCE, Server, eventually, program, run, scratch, time_limit

PROGRAMS = (["09_hmac_server"], ["09_hmac_client", "hello"])
MIXINS = ("none", "threading", "forking", "preforking", "thread_pool", "fiber", "preforking_fiber")
PYTHON_NEEDS_MD5 = sys.version_info < (3, 12)


class HmacCase(Case):

    def setUp(self):
        self.key = key_file(self, KEY)
        self.other_key = key_file(self, OTHER_KEY)

    def server(self, *options, key=None, mixin="threading", url="tcp://127.0.0.1:0"):
        return Server("09_hmac_server", "--listen", url, "--mixin", mixin, "--key-file", key or self.key, *options)

    def client(self, url, *arguments, key=None):
        return run(program("09_hmac_client"), "--server", url, "--key-file", key or self.key, *arguments)

    def is_served(self, server, *options, rejected=0):
        """A client with the key is answered, and told how many others have been rejected."""
        result = self.client(server.url, *options, "hello", "grüß dich")
        self.assertEqual((result.returncode, result.stdout, result.stderr),
                         (0, f"welcome; rejected so far: {rejected}\nHELLO\nGRüß DICH\n", ""))


class Keys(HmacCase):

    def test_the_right_key(self):
        for mixin in MIXINS:
            with self.subTest(mixin), self.server(mixin=mixin) as server:
                self.is_served(server)
                server.end(signal.SIGTERM)
                self.assertEqual(server.errors(), "")

    def test_a_wrong_key_is_turned_away_and_counted(self):
        for mixin in MIXINS:
            with self.subTest(mixin), self.server(mixin=mixin) as server:
                for count in range(1, 3):
                    self.assert_fails(1, self.client(server.url, "hello", key=self.other_key))
                    eventually(lambda: server.errors().count(" was rejected: ") == count)
                    self.is_served(server, rejected=count)
                server.end(signal.SIGTERM)
                self.assertNotIn(KEY.decode("latin1"), server.errors())

    def test_a_server_with_a_wrong_key_serves_nobody(self):
        with self.server(key=self.other_key) as server:
            self.assert_fails(1, self.client(server.url, "hello"))
            server.end(signal.SIGTERM)

    def test_on_a_unix_socket(self):
        with scratch() as folder, self.server(url=f"unix://{folder}/s") as server:
            self.is_served(server)
            server.end(signal.SIGTERM)

    def test_from_the_environment(self):
        environment = {**os.environ, "SOCKSERV_KEY": "words of the environment"}
        name = key_file(self, b"words of the environment")
        with self.server(key=name) as server:
            result = run(program("09_hmac_client"), "--server", server.url, "hello", env=environment)
            self.assertEqual((result.returncode, result.stderr), (0, ""))
            server.end(signal.SIGTERM)

    def test_no_key(self):
        environment = {name: value for name, value in os.environ.items() if name != "SOCKSERV_KEY"}
        for settings in (environment, {**environment, "SOCKSERV_KEY": ""}):
            for name, *arguments in PROGRAMS:
                self.assert_fails(1, run(program(name), *arguments, env=settings),
                                  "there is no key: name a file with --key-file, or set SOCKSERV_KEY")

    def test_files_that_hold_no_key(self):
        missing, empty, open_to_all = self.key + ".missing", key_file(self, b""), key_file(self, KEY)
        os.chmod(open_to_all, 0o644)
        folder = tempfile.TemporaryDirectory()  # which only its user may read
        self.addCleanup(folder.cleanup)
        for name, *arguments in PROGRAMS:
            for file, reason in ((missing, "No such file"), (empty, "no key"), (open_to_all, "chmod 600"),
                                 (folder.name, "Is a directory")):
                with self.subTest((name, reason)):
                    self.assert_fails(1, run(program(name), *arguments, "--key-file", file), file, reason)

    def test_not_on_the_command_line(self):
        for name, *arguments in PROGRAMS:
            self.assert_fails(2, run(program(name), *arguments, "--key", "secret"))

    def test_bad_usage(self):
        for name, *arguments in PROGRAMS:
            result = run(program(name), *arguments, "--key-file", self.key, "--protocol", "none")
            self.assert_fails(2, result, "--protocol")
        self.assert_fails(2, run(program("09_hmac_server"), "--handshake-limit", "0"), "--handshake-limit")


class Silence(HmacCase):

    def test_a_silent_client_is_aborted_and_holds_up_nobody(self):
        for mixin in MIXINS:
            workers = ["--workers", "2"] if mixin in ("thread_pool", "preforking") else []
            with self.subTest(mixin), self.server("--handshake-limit", "1", *workers, mixin=mixin) as server:
                with server.client() as silent:
                    self.assertEqual(len(silent.recv(41, socket.MSG_WAITALL)), 41)  # so it is being served
                    if mixin != "none":
                        self.is_served(server)
                    self.assertEqual(silent.recv(1), b"")
                eventually(lambda: "was rejected" in server.errors())
                self.is_served(server, rejected=1)
                server.end(signal.SIGTERM)


@contextlib.contextmanager
def impostor(serve):
    """A server that serves one client so; yields its URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        def accept():
            with listener.accept()[0] as connection:
                serve(connection)
        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield f"tcp://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            thread.join(PATIENCE)


class Impostors(HmacCase):
    """Servers that do not know the key, and let everybody in."""

    def test_mutual_finds_them_out(self):
        def serve(connection):
            pretend_to_be_server(connection, OTHER_KEY)
            self.assertEqual(connection.recv(1), b"")  # the client does not say what it wants
        with impostor(serve) as url:
            self.assert_fails(1, self.client(url, "a secret"), "the server's proof is wrong")

    def test_simple_does_not(self):
        answer = b"welcome; I am whom you want"
        received = []

        def serve(connection):
            connection.sendall(bytes(32))
            connection.recv(32, socket.MSG_WAITALL)
            connection.sendall(len(answer).to_bytes(4, "big") + answer)
            received.append(connection.recv(100))
        with impostor(serve) as url:
            result = self.client(url, "--protocol", "simple", "a secret")
        self.assertEqual(result.stdout, answer.decode() + "\n")
        self.assertTrue(received[0].endswith(b"a secret"))

    def test_a_server_that_says_nothing(self):
        """The client waits for no longer than the handshake may take."""
        with socket.create_server(("127.0.0.1", 0)) as silent:  # the system accepts for it
            result = self.client(f"tcp://127.0.0.1:{silent.getsockname()[1]}", "hello")
            self.assert_fails(1, result)


class Protocols(HmacCase):

    def test_simple(self):
        for mixin in MIXINS:
            with self.subTest(mixin), self.server("--protocol", "simple", mixin=mixin) as server:
                self.is_served(server, "--protocol", "simple")
                self.assert_fails(1, self.client(server.url, "--protocol", "simple", "hello", key=self.other_key),
                                  "the server has ended the connection")
                eventually(lambda: "was rejected" in server.errors())
                self.is_served(server, "--protocol", "simple", rejected=1)
                server.end(signal.SIGTERM)

    def test_of_python(self):
        options = ["--protocol", "multiprocessing"] + ["--allow-md5"] * PYTHON_NEEDS_MD5
        for mixin in MIXINS:
            with self.subTest(mixin), time_limit(), self.server(*options, mixin=mixin) as server:
                with Client(server.address, authkey=KEY) as connection:
                    self.assertEqual(connection.recv_bytes(), b"welcome; rejected so far: 0")
                    connection.send_bytes(b"hello")
                    self.assertEqual(connection.recv_bytes(), b"HELLO")
                self.assertRaises(multiprocessing.AuthenticationError, Client, server.address, authkey=OTHER_KEY)
                eventually(lambda: "was rejected" in server.errors())
                self.is_served(server, *options, rejected=1)
                server.end(signal.SIGTERM)

    def test_both_ends_must_have_the_same(self):
        with self.server("--handshake-limit", "1") as server:
            self.assert_fails(1, self.client(server.url, "--protocol", "multiprocessing", "hello"))
            server.end(signal.SIGTERM)

    def test_the_one_liner_of_the_server(self):
        """What the comment at the top of the server has people try."""
        source = (pathlib.Path(__file__).parents[2] / "examples/09_hmac/server.cpp").read_text()
        lines = source[source.index("python3 -c '") + len("python3 -c '"):].split("'", 1)[0]
        script = "\n".join(line.lstrip("/ ") for line in lines.splitlines())
        options = ["--protocol", "multiprocessing"] + ["--allow-md5"] * PYTHON_NEEDS_MD5
        with self.server(*options) as server:
            script = script.replace("9000", str(server.address[1])).replace("/tmp/key", self.key)
            output = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=PATIENCE)
            self.assertEqual((output.stdout, output.stderr), ("b'welcome; rejected so far: 0'\nb'HELLO'\n", ""))
            server.end(signal.SIGTERM)


if __name__ == "__main__":
    unittest.main()
