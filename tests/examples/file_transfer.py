"""11, the file transfer: file_transfer.py TEST_CLASS. What goes over the wire is in 11_file_transfer/protocol.hpp."""

import contextlib
import fcntl
import hashlib
import json
import os
import pathlib
import random
import resource
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import unittest

from case import Case
from server import PATIENCE, Server, eventually, program, run

MIB = 1 << 20
MIXINS = ("none", "threading", "forking", "preforking", "thread_pool", "fiber", "preforking_fiber")
BUSY = b"11_file_client: this file is being transferred already; try again later\n"
IN_A_SMALL_DISK = 'mount -t tmpfs -o size=1m files "$0" && exec "$@"'


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def content_of(size, seed=1):
    return random.Random(seed).randbytes(size)


def receive(connection, count):
    """So many bytes, and none of those behind them."""
    received = b""
    while len(received) < count:
        piece = connection.recv(count - len(received))
        assert piece, f"the server has closed the connection after {received[-1000:]!r}"
        received += piece
    return received


def send(connection, message):
    encoded = message if isinstance(message, bytes) else json.dumps(message).encode()
    connection.sendall(struct.pack("!I", len(encoded)) + encoded)


def receive_message(connection):
    size, = struct.unpack("!I", receive(connection, 4))
    return json.loads(receive(connection, size))


def ask(connection, message):
    send(connection, message)
    return receive_message(connection)


def order_to_put(name, content, **changes):
    return {"operation": "put", "name": name, "size": len(content), "sha256": sha256(content), **changes}


def order_to_get(name, have=b"", **changes):
    return {"operation": "get", "name": name, "have": len(have), "sha256": sha256(have), **changes}


class Throttle:
    """Stands between a client and a server, and lets so many bytes of one direction pass until told otherwise."""

    def __init__(self, server, upwards, limit):
        self.limit = {upwards: limit}
        self.passed = {True: 0, False: 0}
        self.open = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = "tcp://127.0.0.1:%d" % self.listener.getsockname()[1]
        self.server = server
        self.sockets = []
        self.threads = [threading.Thread(target=self.accept)]
        self.threads[0].start()

    def accept(self):
        with contextlib.suppress(OSError):
            self.sockets.append(self.listener.accept()[0])
            self.sockets.append(self.server.client())
            client, server = self.sockets
            self.threads += [threading.Thread(target=self.copy, args=(client, server, True)),
                             threading.Thread(target=self.copy, args=(server, client, False))]
            for thread in self.threads[1:]:
                thread.start()

    def copy(self, source, target, upwards):
        with contextlib.suppress(OSError):
            while True:
                left = self.limit.get(upwards, 1 << 62) - self.passed[upwards]
                if left == 0:
                    return self.open.wait()
                piece = source.recv(min(left, 65536))
                if not piece:
                    return target.shutdown(socket.SHUT_WR)
                target.sendall(piece)
                self.passed[upwards] += len(piece)

    def is_stuck(self):
        return any(self.passed[upwards] == limit for upwards, limit in self.limit.items())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.open.set()
        for each in (self.listener, *self.sockets):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self.threads:
            thread.join()
        for each in (self.listener, *self.sockets):
            each.close()


class Transfer(Case):

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="sockserv-files."))
        self.addCleanup(shutil.rmtree, self.folder)
        self.files = self.folder / "server"
        self.mine = self.folder / "client"
        self.files.mkdir()
        self.mine.mkdir()

    def serve(self, *arguments, mixin="threading"):
        return Server("11_file_server", "--listen", "tcp://127.0.0.1:0", "--mixin", mixin, "--directory", self.files,
                      *arguments)

    def client(self, url, *arguments):
        return self.run_client("11_file_client", "--server", url, *map(str, arguments))

    def client_fails(self, url, *arguments, says):
        result = run(program("11_file_client"), "--server", url, *map(str, arguments))
        self.assert_fails(1, result, says)

    def make(self, name, content):
        path = self.mine / name
        path.write_bytes(content)
        return path

    def part(self, name, content):
        """Where the server keeps the part of a file."""
        return self.files / f".{name}.{sha256(content)}.part"

    def wait_until_released(self, path):
        """Waits until whoever has worked on a part has noticed that its client has gone."""
        def released():
            with path.open("rb") as part:
                try:
                    fcntl.flock(part, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    return True
                except BlockingIOError:
                    return False
        eventually(released)

    def put_half(self, server, name, content, half):
        """Sends the beginning of a file and breaks off."""
        with server.client() as connection:
            self.assertEqual(ask(connection, order_to_put(name, content))["have"], 0)
            send(connection, {"from": 0})
            connection.sendall(content[:half])
        self.wait_until_released(self.part(name, content))
        self.assertEqual(self.part(name, content).stat().st_size, half)
        self.assertEqual(os.listdir(self.files), [self.part(name, content).name])  # nothing has the name yet


class RoundTrip(Transfer):

    def test_files_come_back_as_they_went_under_every_mixin(self):
        for mixin in MIXINS:
            with self.subTest(mixin), self.serve(mixin=mixin) as server:
                for name, content in (("large ü", content_of(3 * MIB + 1)), ("empty", b""), ("exact", b"x" * 256 * 1024)):
                    path = self.make(name, content)
                    size = f"{len(content)} bytes, 0 of them were there already\n"
                    self.assertEqual(self.client(server.url, "put", path), f"put {name}: {size}")
                    self.assertEqual((self.files / name).read_bytes(), content)
                    path.unlink()
                    self.assertEqual(self.client(server.url, "get", name, "--directory", self.mine), f"got {name}: {size}")
                    self.assertEqual(path.read_bytes(), content)
                self.assertEqual(sorted(os.listdir(self.files)), sorted(os.listdir(self.mine)))
                server.end(signal.SIGTERM)

    def test_a_connection_carries_one_transfer_after_the_other(self):
        content = content_of(MIB)
        with self.serve() as server, server.client() as connection:
            for name in ("first", "second"):
                self.assertEqual(ask(connection, order_to_put(name, content)), {"have": 0, "sha256": sha256(b"")})
                send(connection, {"from": 0})
                connection.sendall(content)
                self.assertEqual(receive_message(connection), {"done": True})
                self.assertEqual(ask(connection, order_to_get(name)),
                                 {"size": MIB, "sha256": sha256(content), "from": 0})
                self.assertEqual(receive(connection, MIB), content)
            connection.close()
            server.end(signal.SIGTERM)

    def test_a_file_is_replaced_as_a_whole(self):
        old, new = content_of(MIB, 1), content_of(MIB, 2)
        with self.serve() as server:
            self.client(server.url, "put", self.make("file", old))
            with server.client() as connection:
                ask(connection, order_to_put("file", new))
                send(connection, {"from": 0})
                connection.sendall(new[:-1])
                eventually(lambda: self.part("file", new).stat().st_size > 0)
                self.assertEqual((self.files / "file").read_bytes(), old)
                connection.sendall(new[-1:])
                self.assertEqual(receive_message(connection), {"done": True})
            self.assertEqual((self.files / "file").read_bytes(), new)
            server.end(signal.SIGTERM)

    def test_a_bar_is_shown_on_a_terminal_only(self):
        path = self.make("file", content_of(MIB))
        with self.serve() as server:
            result = run(program("11_file_client"), "--server", server.url, "put", str(path))
            self.assertEqual((result.returncode, result.stderr), (0, ""))
            terminal, clients_end = os.openpty()
            try:
                command = [program("11_file_client"), "--server", server.url, "put", str(path)]
                subprocess.run(command, stdout=subprocess.DEVNULL, stderr=clients_end, timeout=PATIENCE, check=True)
                self.assertRegex(os.read(terminal, 10_000), rb"\r\[#{50}\] 100 %")
            finally:
                os.close(terminal)
                os.close(clients_end)
            server.end(signal.SIGTERM)

    def test_bad_usage(self):
        for arguments in ([], ["put"], ["get"], ["remove", "x"], ["put", "a", "b"]):
            self.assert_fails(2, run(program("11_file_client"), *arguments), "Try 11_file_client --help.")
        self.assert_fails(1, run(program("11_file_server"), "--directory", str(self.folder / "none")), "none",
                          "No such file")
        self.client_fails("tcp://127.0.0.1:1", "put", self.folder / "none", says="127.0.0.1:1")


class Resuming(Transfer):
    size = 8 * MIB  # more than the buffers of sockets take
    limit = 5 * MIB

    def resumed(self, text):
        """How many bytes the client says were there."""
        return int(text.split(" bytes, ")[1].split(" of them")[0])

    def wait_for_the_middle(self, throttle, part):
        """Waits until no more bytes pass, and most of them are in the part."""
        eventually(lambda: throttle.is_stuck() and part.exists() and part.stat().st_size > MIB)

    def kill_in_the_middle(self, server, upwards, part, *arguments):
        """Runs a client, and kills it when so many bytes have passed."""
        with Throttle(server, upwards, self.limit) as throttle:
            command = [program("11_file_client"), "--server", throttle.url, *map(str, arguments)]
            client = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                self.wait_for_the_middle(throttle, part)
            finally:
                client.kill()
                client.wait()

    def test_a_put_whose_client_was_killed_goes_on(self):
        for mixin in ("threading", "forking", "fiber"):
            content = content_of(self.size, mixin)
            path = self.make(mixin, content)
            with self.subTest(mixin), self.serve(mixin=mixin) as server:
                self.kill_in_the_middle(server, True, self.part(mixin, content), "put", path)
                self.wait_until_released(self.part(mixin, content))
                self.assertFalse((self.files / mixin).exists())
                there = self.part(mixin, content).stat().st_size
                self.assertGreater(there, MIB)
                self.assertEqual(self.resumed(self.client(server.url, "put", path)), there)
                self.assertEqual((self.files / mixin).read_bytes(), content)
                self.assertFalse(self.part(mixin, content).exists())
                server.end(signal.SIGTERM)

    def test_a_get_whose_client_was_killed_goes_on(self):
        content = content_of(self.size)
        (self.files / "file").write_bytes(content)
        part = self.mine / ".file.part"
        for mixin in ("threading", "forking", "fiber"):
            with self.subTest(mixin), self.serve(mixin=mixin) as server:
                self.kill_in_the_middle(server, False, part, "get", "file", "--directory", self.mine)
                self.assertEqual(os.listdir(self.mine), [part.name])
                there = part.stat().st_size
                self.assertGreater(there, MIB)
                self.assertEqual(self.resumed(self.client(server.url, "get", "file", "--directory", self.mine)), there)
                self.assertEqual((self.mine / "file").read_bytes(), content)
                self.assertEqual(os.listdir(self.mine), ["file"])
                (self.mine / "file").unlink()
                server.end(signal.SIGTERM)

    def test_transfers_whose_server_was_killed_go_on(self):
        content = content_of(self.size)
        path = self.make("file", content)
        for upwards, part, arguments in ((True, self.part("file", content), ("put", path)),
                                         (False, self.mine / ".file.part", ("get", "file", "--directory", self.mine))):
            with self.serve() as server, Throttle(server, upwards, self.limit) as throttle:
                command = [program("11_file_client"), "--server", throttle.url, *map(str, arguments)]
                with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as client:
                    self.wait_for_the_middle(throttle, part)
                    server.signal(signal.SIGKILL)
                    server.process.wait(PATIENCE)
                    throttle.__exit__()
                    self.assertNotEqual(client.stderr.read(), b"")
                    self.assertEqual(client.wait(PATIENCE), 1)
            with self.serve() as server:
                self.assertGreater(self.resumed(self.client(server.url, *arguments)), MIB)
                self.assertEqual((self.files / "file").read_bytes(), content)
                self.assertEqual(path.read_bytes(), content)
                path.unlink()
                server.end(signal.SIGTERM)

    def test_a_part_that_is_complete_needs_no_bytes(self):
        content = content_of(MIB)
        self.part("file", content).write_bytes(content)
        (self.mine / ".other.part").write_bytes(content)
        (self.files / "other").write_bytes(content)
        with self.serve() as server:
            self.assertEqual(self.resumed(self.client(server.url, "put", self.make("file", content))), MIB)
            self.assertEqual(self.resumed(self.client(server.url, "get", "other", "--directory", self.mine)), MIB)
            self.assertEqual((self.files / "file").read_bytes(), content)
            self.assertEqual((self.mine / "other").read_bytes(), content)
            server.end(signal.SIGTERM)

    def test_a_part_that_is_wrong_or_too_long_counts_for_nothing(self):
        content = content_of(MIB)
        path = self.make("file", content)
        with self.serve() as server:
            for wrong in (b"x" + content[1:1000], content + b"x", b"x" * MIB):
                self.part("file", content).write_bytes(wrong)
                self.assertEqual(self.resumed(self.client(server.url, "put", path)), 0)
                self.assertEqual((self.files / "file").read_bytes(), content)
                (self.mine / ".file.part").write_bytes(wrong)
                self.assertEqual(self.resumed(self.client(server.url, "get", "file", "--directory", self.mine)), 0)
                self.assertEqual(path.read_bytes(), content)
            server.end(signal.SIGTERM)

    def test_a_transfer_goes_on_nowhere_else(self):
        content = content_of(1000)
        with self.serve() as server:
            self.put_half(server, "file", content, 500)
            with server.client() as connection:
                self.assertEqual(ask(connection, order_to_put("file", content)),
                                 {"have": 500, "sha256": sha256(content[:500])})
                send(connection, {"from": 600})
                self.assertIn("goes on at byte 0 or 500", receive_message(connection)["error"])
                connection.sendall(content[600:])  # which are thrown away
                self.assertEqual(ask(connection, order_to_put("file", content))["have"], 500)
            server.end(signal.SIGTERM)


class Refusals(Transfer):

    def refuses(self, connection, order, says):
        self.assertRegex(ask(connection, order).get("error", "nothing"), says)

    def test_nothing_is_written_or_read_outside_of_the_folder(self):
        secret = self.folder / "secret"
        secret.write_bytes(b"secret")
        for name in ("link", "relative"):
            (self.files / name).symlink_to(secret if name == "link" else "../secret")
        (self.files / "away").symlink_to(self.folder)
        (self.files / "dangling").symlink_to(self.folder / "new")
        (self.files / "folder").mkdir()
        os.mkfifo(self.files / "pipe")
        before = sorted(os.listdir(self.files))
        refused = {"../../x": "is a path", "../secret": "is a path", str(secret): "is a path", "folder/x": "is a path",
                   "away/secret": "is a path", "/": "is a path", "": "is empty", ".": "begins with a dot",
                   "..": "begins with a dot", ".hidden": "begins with a dot", "a\0b": "has a NUL in it", "\0": "NUL",
                   "x" * 181: "has more than 180 bytes", "ü" * 91: "has more than 180 bytes",
                   "x" * 60_000: "has more than 180 bytes",
                   "link": "symbolic link", "relative": "symbolic link", "away": "symbolic link",
                   "dangling": "symbolic link", "folder": "no plain file", "pipe": "no plain file"}
        for mixin in ("threading", "fiber"):
            with self.serve(mixin=mixin) as server, server.client() as connection:
                for name, reason in refused.items():
                    with self.subTest((mixin, name[:200])):
                        self.refuses(connection, order_to_put(name, b"content"), reason)
                        self.refuses(connection, order_to_get(name), reason)
                self.refuses(connection, order_to_get("none"), "none: No such file")
                self.refuses(connection, order_to_put("x", b"", sha256="../" * 21 + "x"), "64 hexadecimal digits")
                connection.close()
                server.end(signal.SIGTERM)
        self.assertEqual(sorted(os.listdir(self.files)), before)
        self.assertEqual(sorted(os.listdir(self.folder)), ["client", "secret", "server"])
        self.assertEqual(secret.read_bytes(), b"secret")

    def test_a_link_in_the_place_of_a_part_is_not_followed(self):
        victim = self.folder / "victim"
        victim.write_bytes(b"")
        self.part("file", b"content").symlink_to(victim)
        with self.serve() as server, server.client() as connection:
            self.refuses(connection, order_to_put("file", b"content"), "cannot open .*symbolic links")
            connection.close()
            server.end(signal.SIGTERM)
        self.assertEqual(victim.read_bytes(), b"")

    def test_a_link_that_comes_during_a_transfer_is_not_followed(self):
        victim = self.folder / "victim"
        victim.write_bytes(b"")
        with self.serve() as server, server.client() as connection:
            ask(connection, order_to_put("file", b"content"))
            (self.files / "file").symlink_to(victim)
            send(connection, {"from": 0})
            connection.sendall(b"content")
            self.assertIn("symbolic link", receive_message(connection)["error"])
            connection.close()
            server.end(signal.SIGTERM)
        self.assertEqual(victim.read_bytes(), b"")

    def test_nonsense_is_answered_with_what_is_wrong(self):
        with self.serve() as server, server.client() as connection:
            for nonsense, reason in ((b"", "JSON object"), (b"{", "JSON object"), (b"[1]", "JSON object"),
                                     (b'"put"', "JSON object"), (b"[" * 60_000, "JSON object"),
                                     (b'{"operation": "put\xff"}', "JSON object"), ({}, "operation"),
                                     ({"operation": 1}, "operation"), ({"operation": "remove"}, "put and get"),
                                     (order_to_put("x", b"", size=-1), "size"), (order_to_put("x", b"", size=1.5), "size"),
                                     (order_to_put("x", b"", size="1"), "size"), (order_to_put(1, b""), "name"),
                                     (order_to_put("x", b"", sha256="A" * 64), "64 hexadecimal digits"),
                                     (order_to_get("x", sha256=None), "sha256")):
                with self.subTest(nonsense):
                    self.refuses(connection, nonsense, reason)
            connection.close()
            server.end(signal.SIGTERM)
        self.assertEqual(os.listdir(self.files), [])

    def test_a_file_that_is_too_large_is_refused_before_its_bytes(self):
        with self.serve("--max-size", "1000") as server:
            with server.client() as connection:
                self.refuses(connection, order_to_put("large", b"x" * 1001), "1001 bytes.* no more than 1000")
                self.assertEqual(ask(connection, order_to_put("small", b"x" * 1000))["have"], 0)
            self.client_fails(server.url, "put", self.make("large", b"x" * 1001), says="no more than 1000")
            self.client(server.url, "put", self.make("small", b"y" * 1000))
            server.end(signal.SIGTERM)

    def test_bytes_with_the_wrong_hash_are_not_put_in_place(self):
        content = content_of(MIB)
        with self.serve() as server, server.client() as connection:
            for _ in range(2):
                self.assertEqual(ask(connection, order_to_put("file", content))["have"], 0)
                send(connection, {"from": 0})
                connection.sendall(content[:-1] + b"x")
                self.assertIn("have the SHA-256", receive_message(connection)["error"])
                self.assertEqual(os.listdir(self.files), [])
            connection.close()
            server.end(signal.SIGTERM)

    def test_the_client_does_not_put_bytes_with_the_wrong_hash_in_place(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            def serve():
                connection, _ = listener.accept()
                with connection:
                    receive_message(connection)
                    send(connection, {"size": 5, "sha256": sha256(b"right"), "from": 0})
                    connection.sendall(b"wrong")
                    connection.recv(1)
            thread = threading.Thread(target=serve)
            thread.start()
            self.client_fails("tcp://127.0.0.1:%d" % listener.getsockname()[1], "get", "file", "--directory", self.mine,
                              says="have the SHA-256 " + sha256(b"wrong"))
            thread.join()
        self.assertEqual(os.listdir(self.mine), [])

    def test_the_client_refuses_names_too(self):
        with self.serve() as server:
            (self.mine / "link").symlink_to(self.folder / "x")
            self.client_fails(server.url, "get", "../x", "--directory", self.mine, says="is a path")
            self.client_fails(server.url, "get", "link", "--directory", self.mine, says="symbolic link")
            self.client_fails(server.url, "put", self.make(".hidden", b"x"), says="begins with a dot")
            server.end(signal.SIGTERM)
        self.assertEqual(sorted(os.listdir(self.mine)), [".hidden", "link"])

    def test_names_that_are_not_utf_8_are_refused_and_not_made_one(self):
        with self.serve() as server:
            for name in (b"\xff", b"\xfe", b"a\xc3", b"\xed\xa0\x80"):
                path = os.fsencode(self.mine) + b"/" + name
                with open(path, "wb") as file:
                    file.write(name)
                for arguments in (("put", path), ("get", name, "--directory", self.mine)):
                    result = run(program("11_file_client"), "--server", server.url, *arguments, errors="replace")
                    self.assert_fails(1, result, "is not UTF-8", "rename the file")
            server.end(signal.SIGTERM)
        self.assertEqual(os.listdir(self.files), [])

    def test_what_is_no_plain_file_is_not_opened(self):
        with self.serve() as server:
            os.mkfifo(self.mine / "pipe")
            os.mkfifo(self.mine / ".file.part")
            (self.files / "file").write_bytes(b"content")
            writer = os.open(self.mine / "pipe", os.O_RDWR)  # so that an open for reading would find its bytes
            try:
                os.write(writer, b"for somebody else")
                self.client_fails(server.url, "put", self.mine / "pipe", says="no plain file")
                os.set_blocking(writer, False)
                self.assertEqual(os.read(writer, 100), b"for somebody else")
            finally:
                os.close(writer)
            self.client_fails(server.url, "put", self.mine / "pipe", says="no plain file")  # nobody has the other end
            self.client_fails(server.url, "put", "/dev/null", says="no plain file")
            self.client_fails(server.url, "put", self.mine, says="no plain file")
            self.client_fails(server.url, "put", self.mine / "none", says="No such file")
            self.client_fails(server.url, "get", "file", "--directory", self.mine, says="no plain file")
            self.make("plain", b"x")
            (self.mine / "link").symlink_to("plain")  # of one's own, which may be followed
            self.client(server.url, "put", self.mine / "link")
            server.end(signal.SIGTERM)
        self.assertEqual((self.files / "link").read_bytes(), b"x")

    def test_requests_that_are_refused_leave_nothing_behind(self):
        with self.serve() as server:
            for number in range(3):
                self.client_fails(server.url, "get", f"none{number}", "--directory", self.mine, says="No such file")
            with server.client() as connection:
                ask(connection, order_to_put("file", b"content"))
                send(connection, {"from": 1})
                self.assertIn("goes on at byte 0", receive_message(connection)["error"])
                connection.sendall(b"ontent")
                self.assertEqual(ask(connection, order_to_get("none"))["error"], "cannot open none: No such file or directory")
                self.assertEqual(os.listdir(self.files), [])
            server.end(signal.SIGTERM)
        self.assertEqual(os.listdir(self.mine), [])

    def test_clients_that_send_nothing_leave_nothing_behind(self):
        for mixin in ("threading", "fiber", "forking"):
            with self.subTest(mixin), self.serve(mixin=mixin) as server:
                for content in (b"a", b"b", b"c"):
                    with server.client() as connection:
                        ask(connection, order_to_put("file", content))
                        self.assertTrue(self.part("file", content).exists())  # and it is locked
                        if content != b"a":
                            send(connection, {"from": 0})
                eventually(lambda: os.listdir(self.files) == [])
                server.end(signal.SIGTERM)


class Together(Transfer):

    def test_of_two_files_with_one_name_one_is_there_in_the_end(self):
        contents = [content_of(MIB, 1), content_of(MIB, 2)]
        with self.serve() as server, server.client() as first, server.client() as second:
            clients = (first, second)
            for client, content in zip(clients, contents):
                ask(client, order_to_put("file", content))
                send(client, {"from": 0})
            for start in range(0, MIB, MIB // 8):
                for client, content in zip(clients, contents):
                    client.sendall(content[start:start + MIB // 8])
            for client in clients:
                self.assertEqual(receive_message(client), {"done": True})
            self.assertEqual(os.listdir(self.files), ["file"])
            self.assertIn((self.files / "file").read_bytes(), contents)
            for client in clients:
                client.close()
            server.end(signal.SIGTERM)

    def test_one_file_is_put_by_one_client_at_a_time(self):
        content = content_of(MIB)
        path = self.make("file", content)
        for mixin in ("threading", "forking", "fiber"):
            with self.subTest(mixin), self.serve(mixin=mixin) as server:
                with server.client() as first:
                    ask(first, order_to_put("file", content))
                    self.client_fails(server.url, "put", path, says="being transferred already; try again later")
                    send(first, {"from": 0})
                    first.sendall(content)
                    self.assertEqual(receive_message(first), {"done": True})
                self.client(server.url, "put", path)
                self.assertEqual((self.files / "file").read_bytes(), content)
                server.end(signal.SIGTERM)

    def test_many_clients_at_once(self):
        paths = [self.make(f"file{number}", content_of(MIB, number)) for number in range(4)]
        for mixin in ("threading", "fiber", "preforking_fiber"):
            with self.subTest(mixin), self.serve(mixin=mixin) as server:
                clients = []
                for path in paths * 2:
                    command = [program("11_file_client"), "--server", server.url, "put", path]
                    clients.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE))
                for client in clients:  # of two with the same file, one may find that the other is at it
                    self.assertIn(client.communicate(timeout=PATIENCE)[1], (b"", BUSY))
                self.assertEqual(sorted(os.listdir(self.files)), [f"file{number}" for number in range(4)])
                for number in range(4):
                    self.assertEqual((self.files / f"file{number}").read_bytes(), content_of(MIB, number))
                server.end(signal.SIGTERM)


class DiskFull(Transfer):

    def small_disk(self, mixin):
        """A server whose folder has room for one MiB: a file system of its own, where this user may mount one; elsewhere
        a limit on the size of files, which fails in the same place, in the same way."""
        arguments = ["--listen", "tcp://127.0.0.1:0", "--mixin", mixin, "--directory", str(self.files)]
        for privilege in ([], ["--user", "--map-root-user"]):
            mounting = ["unshare", *privilege, "--mount", "sh", "-c", IN_A_SMALL_DISK, str(self.files)]
            if shutil.which("unshare") and run(*mounting, "true").returncode == 0:
                return Server(shutil.which("unshare"), *mounting[1:], program("11_file_server"), *arguments), "No space left"
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (MIB, before[1]))
        try:
            return Server("11_file_server", *arguments), "File too large"
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    def test_the_client_is_told_and_the_server_goes_on(self):
        large, small = content_of(6 * MIB, 1), content_of(MIB // 2, 2)
        for mixin in ("threading", "fiber", "forking"):
            server, reason = self.small_disk(mixin)
            with self.subTest(mixin), server:
                for _ in range(3):
                    self.client_fails(server.url, "put", self.make("large", large), says=reason)
                with server.client() as connection:  # a client that sends all the same
                    ask(connection, order_to_put("large", large))
                    send(connection, {"from": 0})
                    connection.sendall(large)
                    self.assertIn(reason, receive_message(connection)["error"])
                    self.assertEqual(ask(connection, order_to_put("small", small))["have"], 0)  # there is room again
                    send(connection, {"from": 0})
                    connection.sendall(small)
                    self.assertEqual(receive_message(connection), {"done": True})
                self.client(server.url, "get", "small", "--directory", self.mine)
                self.assertEqual((self.mine / "small").read_bytes(), small)
                server.end(signal.SIGTERM)


if __name__ == "__main__":
    unittest.main()
