"""http_server, by its requests and answers: http_server.py TEST_CLASS. Raw sockets where it matters what is sent, and
Python's http.client where any client would do."""

import calendar
import concurrent.futures
import contextlib
import email.utils
import fcntl
import hashlib
import http.client
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import struct
import tempfile
import time
import unittest

from case import Case
from server import PATIENCE, Server, eventually, program, run

MIB = 1 << 20
EVERY_MIXIN = ("none", "threading", "forking", "preforking", "thread_pool", "fiber", "preforking_fiber")
MIXINS = ("threading", "forking", "fiber")
HOST = b"Host: x\r\n"


class UnixConnection(http.client.HTTPConnection):
    """http.client over whatever socket the server listens on."""

    def __init__(self, server):
        super().__init__("localhost")
        self.server = server

    def connect(self):
        self.sock = self.server.client()


class Answer:
    """One response, read from a file: what it says, and its body."""

    def __init__(self, file, head_only=False):
        line = file.readline()
        assert re.fullmatch(rb"HTTP/1\.1 \d{3} .*\r\n", line), f"{line!r} is no status line"
        self.status = int(line.split()[1])
        self.fields = {}
        while (line := file.readline()) != b"\r\n":
            assert line.endswith(b"\r\n"), f"{line!r} is no field"
            name, _, value = line.decode("latin-1").partition(":")
            self.fields[name.lower()] = value.strip()
        has_body = not head_only and self.status not in (100, 304)
        self.body = file.read(int(self.fields["content-length"])) if has_body else b""


class Site(Case):
    """A folder to serve, with a secret beside it."""

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="sockserv-http."))
        self.addCleanup(shutil.rmtree, self.folder)
        self.root = self.folder / "root"
        (self.root / "sub").mkdir(parents=True)
        (self.folder / "secret").write_bytes(b"secret")
        (self.root / "a.txt").write_bytes(b"0123456789")
        (self.root / "empty").write_bytes(b"")
        (self.root / "sub" / "index.html").write_bytes(b"<p>index")

    def serve(self, *arguments, mixin="threading", listen="tcp://127.0.0.1:0", log="off"):
        return Server("http_server", "--listen", listen, "--mixin", mixin, "--directory", str(self.root),
                      "--access-log", log, *arguments)

    def ask(self, server, raw, count=1):
        """What is answered to raw bytes: so many responses, after which the server is expected to be silent."""
        with server.client() as client, client.makefile("rb") as file:
            client.sendall(raw)
            client.shutdown(socket.SHUT_WR)
            answers = [Answer(file) for _ in range(count)]
            self.assertEqual(file.read(), b"")
        return answers if count > 1 else answers[0]

    def get(self, server, target, fields=b""):
        return self.ask(server, b"GET " + target + b" HTTP/1.1\r\n" + HOST + fields + b"\r\n")


    def get_settled(self, server, target):
        """The same for a file once its entity tag is strong: a moment after the last change."""
        eventually(lambda: self.get(server, target).fields["etag"].startswith('"'))
        return self.get(server, target)


class Protocol(Site):

    def test_every_mixin_on_every_kind_of_socket(self):
        for mixin in EVERY_MIXIN:
            for listen in ("tcp://127.0.0.1:0", f"unix://{self.folder}/socket"):
                with self.subTest(mixin=mixin, listen=listen), self.serve(mixin=mixin, listen=listen) as server:
                    client = UnixConnection(server)
                    for method, target, expected in (("GET", "/a.txt", b"0123456789"), ("HEAD", "/a.txt", b""),
                                                     ("GET", "/sub/", b"<p>index"), ("GET", "/empty", b"")):
                        client.request(method, target)  # one connection for all of them
                        answer = client.getresponse()
                        self.assertEqual((answer.status, answer.read()), (200, expected))
                        self.assertEqual(email.utils.parsedate_to_datetime(answer.headers["Date"]).tzname(), "UTC")
                        self.assertRegex(answer.headers["Server"], "^sockserv/")
                    client.close()
                    server.end(signal.SIGTERM)
                    self.assertEqual(server.errors(), "")

    def test_errors(self):
        rows = (
            (b"GET / HTTP/1.1\r\n\r\n", 400),
            (b"GET / HTTP/1.1\r\n" + HOST + HOST + b"\r\n", 400),
            (b"GET / HTTP/1.1\nHost: x\n\n", 400),
            (b"GET / HTTP/1.1\r\n" + HOST + b"X: a\r\n folded\r\n\r\n", 400),
            (b"GET / HTTP/1.1\r\n" + HOST + b"X : a\r\n\r\n", 400),
            (b"GET / HTTP/1.1\r\n" + HOST + b"X: a\0b\r\n\r\n", 400),
            (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
            (b"GET /%00 HTTP/1.1\r\n" + HOST + b"\r\n", 400),
            (b"GET /%zz HTTP/1.1\r\n" + HOST + b"\r\n", 400),
            (b"GET * HTTP/1.1\r\n" + HOST + b"\r\n", 400),
            (b"GET a.txt HTTP/1.1\r\n" + HOST + b"\r\n", 400),
            (b"GET /none HTTP/1.1\r\n" + HOST + b"\r\n", 404),
            (b"GET /a.txt/ HTTP/1.1\r\n" + HOST + b"\r\n", 404),
            (b"GET /a.txt/x HTTP/1.1\r\n" + HOST + b"\r\n", 404),
            (b"GET /" + b"x" * 300 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 404),
            (b"POST /a.txt HTTP/1.1\r\n" + HOST + b"\r\n", 405),
            (b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n", 405),
            (b"CONNECT x:80 HTTP/1.1\r\n" + HOST + b"\r\n", 405),
            (b"POST /echo HTTP/1.1\r\n" + HOST + b"Content-Length: 1048577\r\n\r\n", 413),
            (b"POST /echo HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n100001\r\n", 413),
            (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414),
            (b"GET /" + b"x" * 17000, 414),
            (b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"x" * 17000 + b"\r\n\r\n", 431),
            (b"GET / HTTP/1.1\r\n" + HOST + b"X: x\r\n" * 100 + b"\r\n", 431),
            (b"POST /echo HTTP/1.1\r\n" + HOST + b"Expect: wonders\r\n\r\n", 417),
            (b"BREW / HTTP/1.1\r\n" + HOST + b"\r\n", 501),
            (b"POST /echo HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: gzip, chunked\r\n\r\n", 501),
            # RFC 9112, 3.2, and RFC 9110, 4.2.4 and 9.3.6.
            (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
            (b"GET / HTTP/1.1\r\nHost: user@x\r\n\r\n", 400),
            (b"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", 400),
            (b"GET http://user@x/ HTTP/1.1\r\n" + HOST + b"\r\n", 400),
            (b"GET http://x:y/ HTTP/1.1\r\n" + HOST + b"\r\n", 400),
            (b"CONNECT x HTTP/1.1\r\n" + HOST + b"\r\n", 400),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
            (b"GET / HTTP/0.9\r\n\r\n", 505),
        )
        for mixin in MIXINS:
            with self.serve("--demo", mixin=mixin) as server:
                for raw, status in rows:
                    with self.subTest(mixin, raw=raw[:100]):
                        answer = self.ask(server, raw)
                        self.assertEqual(answer.status, status)
                        self.assertIn(str(status).encode(), answer.body)
                        self.assertEqual("allow" in answer.fields, status == 405)
                server.end(signal.SIGTERM)
                self.assertEqual(server.errors(), "")

    def test_targets_of_proxies(self):
        with self.serve() as server:
            self.assertEqual(self.get(server, b"http://elsewhere.example/a.txt?x").body, b"0123456789")
            self.assertEqual(self.get(server, b"http://elsewhere.example").status, 200)

    def test_keep_alive(self):
        def keeps(version, fields=b""):
            with self.serve() as server, server.client() as client, client.makefile("rb") as file:
                request = b"GET /a.txt " + version + b"\r\n" + HOST + fields + b"\r\n"
                client.sendall(request)
                first = Answer(file)
                self.assertEqual(first.body, b"0123456789")
                with contextlib.suppress(ConnectionError):
                    client.sendall(request)
                    if file.peek(1):
                        self.assertEqual(Answer(file).body, b"0123456789")
                        return True, first.fields.get("connection")
                return False, first.fields.get("connection")

        self.assertEqual(keeps(b"HTTP/1.1"), (True, None))
        self.assertEqual(keeps(b"HTTP/1.1", b"Connection: close\r\n"), (False, "close"))
        self.assertEqual(keeps(b"HTTP/1.0"), (False, "close"))
        self.assertEqual(keeps(b"HTTP/1.0", b"Connection: keep-alive\r\n"), (True, "keep-alive"))
        # RFC 9112, 9.3, and RFC 9110, 2.5.
        self.assertEqual(keeps(b"HTTP/1.0", b"Connection: close, keep-alive\r\n"), (False, "close"))
        self.assertEqual(keeps(b"HTTP/1.0", b"Connection: close\r\nConnection: keep-alive\r\n"), (False, "close"))
        self.assertEqual(keeps(b"HTTP/1.2"), (True, None))

    def test_pipelining(self):
        requests = [(b"/a.txt", b"0123456789"), (b"/none", None), (b"/sub/index.html", b"<p>index"), (b"/empty", b"")]
        (self.root / "large").write_bytes(large := random.Random(1).randbytes(MIB))
        requests.append((b"/large", large))
        for mixin in MIXINS:
            with self.subTest(mixin), self.serve(mixin=mixin) as server:
                raw = b"".join(b"GET " + target + b" HTTP/1.1\r\n" + HOST + b"\r\n" for target, _ in requests * 20)
                with server.client() as client, client.makefile("rb") as file:
                    client.sendall(raw)
                    for _, expected in requests * 20:
                        answer = Answer(file)
                        self.assertEqual(answer.status, 404 if expected is None else 200)
                        if expected is not None:
                            self.assertTrue(answer.body == expected)
                server.end(signal.SIGTERM)

    def test_answers_that_are_buffered_leave_before_the_server_waits(self):
        with self.serve() as server, server.client() as client, client.makefile("rb") as file:
            client.sendall(b"GET /a.txt HTTP/1.1\r\n" + HOST + b"\r\nGET /a.txt HTTP/1.1\r\nHo")
            self.assertEqual(Answer(file).body, b"0123456789")
            client.sendall(b"st: x\r\n\r\n")
            self.assertEqual(Answer(file).body, b"0123456789")

    def test_bodies(self):
        for mixin in MIXINS:
            with self.subTest(mixin), self.serve("--demo", mixin=mixin) as server:
                client = UnixConnection(server)
                for body in (b"", b"x", b"x" * MIB):
                    client.request("POST", "/echo", body)
                    self.assertTrue(client.getresponse().read() == body)
                    pieces = [body[at:at + 70000] for at in range(0, len(body), 70000)]
                    client.request("POST", "/echo", iter(pieces), encode_chunked=True)
                    self.assertTrue(client.getresponse().read() == body)
                client.request("GET", "/hello")
                self.assertEqual(client.getresponse().read(), b"Hello, World!")
                client.close()
                server.end(signal.SIGTERM)

    def test_a_client_that_waits_for_100_continue(self):
        head = b"POST /echo HTTP/1.1\r\n" + HOST + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n"
        with self.serve("--demo") as server, server.client() as client, client.makefile("rb") as file:
            client.sendall(head % 4)
            self.assertEqual(Answer(file).status, 100)
            client.sendall(b"body")
            self.assertEqual(Answer(file).body, b"body")
            client.sendall(head % (1 << 30))
            self.assertEqual(Answer(file).status, 413)
            self.assertEqual(file.read(), b"")

    def test_a_client_that_is_refused_while_it_sends_is_told_why(self):
        for mixin in MIXINS:
            with self.subTest(mixin), self.serve("--demo", mixin=mixin) as server:
                for _ in range(5):
                    with server.client() as client, client.makefile("rb") as file:
                        client.sendall(b"POST /echo HTTP/1.1\r\n" + HOST + b"Content-Length: 2000000\r\n\r\n")
                        client.sendall(b"x" * 2_000_000)
                        self.assertEqual(Answer(file).status, 413)
                server.end(signal.SIGTERM)


class Smuggling(Site):

    def test_no_request_hides_in_another(self):
        hidden = b"GET /a.txt HTTP/1.1\r\nHost: x\r\n\r\n"
        chunks = b"0\r\n\r\n" + hidden
        rows = (
            (b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks, 400),
            (b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n" + chunks, 400),
            (b"Content-Length: 0\r\nContent-Length: %d\r\n\r\n" % len(hidden) + hidden, 400),
            (b"Content-Length: 0, %d\r\n\r\n" % len(hidden) + hidden, 400),
            (b"Content-Length: +0\r\n\r\n" + hidden, 400),
            (b"Content-Length : 0\r\n\r\n" + hidden, 400),
            (b"Content-Length: 0\r\n\tx\r\n\r\n" + hidden, 400),
            (b"Transfer-Encoding: xchunked\r\n\r\n" + chunks, 501),
            (b"Transfer-Encoding: chunked, identity\r\n\r\n" + chunks, 400),
            (b"Transfer-Encoding: identity, chunked\r\n\r\n" + chunks, 501),
            (b"Transfer-Encoding:\x0bchunked\r\n\r\n" + chunks, 400),
            (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n" + chunks, 400),
            (b"Transfer-Encoding\t: chunked\r\n\r\n" + chunks, 400),
            (b"X: y\nTransfer-Encoding: chunked\r\n\r\n" + chunks, 400),
            (b"Transfer-Encoding: chunked\r\n\r\n0\n\r\n" + hidden, 400),
            (b"Transfer-Encoding: chunked\r\n\r\n0;\nGET\r\n\r\n" + hidden, 400),
            (b"Transfer-Encoding: chunked\r\n\r\n1\r\nxy\r\n0\r\n\r\n" + hidden, 400),
            (b"Transfer-Encoding: chunked\r\n\r\n-0\r\n\r\n" + hidden, 400),
            # White space behind a size is for extensions only.
            (b"Transfer-Encoding: chunked\r\n\r\n0 \r\n\r\n" + hidden, 400),
            (b"Transfer-Encoding: chunked\r\n\r\n0 x;y\r\n\r\n" + hidden, 400),
            (b"Transfer-Encoding: chunked\r\n\r\n0 \n;\r\n\r\n" + hidden, 400),
        )
        for mixin in MIXINS:
            with self.serve("--demo", mixin=mixin) as server:
                for fields, status in rows:
                    with self.subTest(mixin, fields=fields):
                        # One answer, and then the connection ends.
                        self.assertEqual(self.ask(server, b"POST /echo HTTP/1.1\r\n" + HOST + fields).status, status)
                server.end(signal.SIGTERM)

    def test_white_space_in_front_of_a_chunk_extension_changes_nothing(self):
        with self.serve("--demo") as server:  # RFC 9112, 7.1.1
            answers = self.ask(server, b"POST /echo HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
                               b"3 \t; a=b\r\nabc\r\n0 ;c\r\n\r\nGET /empty HTTP/1.1\r\n" + HOST + b"\r\n", 2)
            self.assertEqual([answer.body for answer in answers], [b"abc", b""])

    def test_what_is_a_body_is_no_request(self):
        hidden = b"GET /a.txt HTTP/1.1\r\nHost: x\r\n\r\n"
        with self.serve("--demo") as server:
            answers = self.ask(server, b"GET /sub/ HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n" % len(hidden) +
                               hidden + b"GET /empty HTTP/1.1\r\n" + HOST + b"\r\n", 2)
            self.assertEqual([answer.body for answer in answers], [b"<p>index", b""])


class Files(Site):

    def test_ranges(self):
        for mixin in MIXINS:
            with self.subTest(mixin), self.serve(mixin=mixin) as server:
                for value, status, content_range, body in (
                        (b"bytes=0-0", 206, "bytes 0-0/10", b"0"), (b"bytes=4-", 206, "bytes 4-9/10", b"456789"),
                        (b"bytes=-3", 206, "bytes 7-9/10", b"789"), (b"bytes=8-100", 206, "bytes 8-9/10", b"89"),
                        (b"bytes=10-", 416, "bytes */10", None), (b"bytes=-0", 416, "bytes */10", None),
                        (b"bytes=0-1,4-5", 200, None, b"0123456789"), (b"nonsense", 200, None, b"0123456789")):
                    answer = self.get(server, b"/a.txt", b"Range: " + value + b"\r\n")
                    self.assertEqual((answer.status, answer.fields.get("content-range")), (status, content_range))
                    if body is not None:
                        self.assertEqual(answer.body, body)
                self.assertEqual(self.get(server, b"/a.txt").fields["accept-ranges"], "bytes")
                server.end(signal.SIGTERM)

    def test_conditions(self):
        modified = calendar.timegm((1994, 11, 6, 8, 49, 37))
        os.utime(self.root / "a.txt", (modified, modified))
        with self.serve() as server:
            answer = self.get_settled(server, b"/a.txt")
            self.assertEqual(answer.fields["last-modified"], "Sun, 06 Nov 1994 08:49:37 GMT")
            etag = answer.fields["etag"].encode()
            date = answer.fields["last-modified"].encode()

            def status(fields):
                answer = self.get(server, b"/a.txt", fields)
                if answer.status == 304:
                    self.assertEqual(answer.fields["etag"].encode(), etag)
                    self.assertNotIn("content-length", answer.fields)
                return answer.status

            self.assertEqual(status(b"If-Modified-Since: " + date + b"\r\n"), 304)
            self.assertEqual(status(b"If-Modified-Since: Sun, 06 Nov 1994 08:49:36 GMT\r\n"), 200)
            self.assertEqual(status(b"If-None-Match: \"x\", " + etag + b"\r\n"), 304)
            self.assertEqual(status(b"If-None-Match: \"x\"\r\n"), 200)
            self.assertEqual(status(b"If-Match: \"x\"\r\n"), 412)
            self.assertEqual(status(b"If-Range: " + etag + b"\r\nRange: bytes=0-0\r\n"), 206)
            self.assertEqual(status(b"If-Range: " + date + b"\r\nRange: bytes=0-0\r\n"), 206)
            # Lines of a list are one (RFC 9110, 5.3); several dates are none, which is ignored (13.1.3, 13.1.4).
            self.assertEqual(status(b"If-Match: \"x\"\r\nIf-Match: " + etag + b"\r\n"), 200)
            self.assertEqual(status(b"If-None-Match: \"x\"\r\nIf-None-Match: " + etag + b"\r\n"), 304)
            self.assertEqual(status((b"If-Modified-Since: " + date + b"\r\n") * 2), 200)
            self.assertEqual(status(b"If-Unmodified-Since: Sun, 06 Nov 1994 08:49:36 GMT\r\n" * 2), 200)
            self.assertEqual(status(b"Range: bytes=0-0\r\nRange: bytes=1-1\r\n"), 200)
            (self.root / "a.txt").write_bytes(b"9876543210")
            self.assertEqual(status(b"If-Range: " + etag + b"\r\nRange: bytes=0-0\r\n"), 200)
            self.assertEqual(status(b"If-None-Match: " + etag + b"\r\n"), 200)

    def test_folders(self):
        strange = "a&b <i>\"'%2f?#ä.txt"
        (self.root / "plain" / strange).mkdir(parents=True)
        (self.root / "plain" / (strange + "2")).write_bytes(b"strange")
        with self.serve() as server:
            page = self.get(server, b"/plain/")
            self.assertEqual((page.status, page.fields["content-type"]), (200, "text/html; charset=utf-8"))
            self.assertNotIn(b"<i>", page.body)
            links = re.findall(rb'<a href="\./([^"]*)">', page.body)
            self.assertEqual(len(links), 2)
            self.assertEqual(self.get(server, b"/plain/" + links[0]).status, 200)  # a folder, with its slash
            self.assertEqual(self.get(server, b"/plain/" + links[1]).body, b"strange")
            for target, location in ((b"/plain", "/plain/"), (b"/plain?x=%41", "/plain/?x=%41"),
                                     (b"//plain", "/plain/"), (b"/./sub/../plain", "/plain/")):
                answer = self.get(server, target)
                self.assertEqual((answer.status, answer.fields["location"]), (301, location))

    def test_nothing_leads_out(self):
        targets = (b"/../secret", b"/sub/../../secret", b"/%2e%2e/secret", b"/..%2fsecret", b"/%2e%2e%2fsecret",
                   b"/sub/..%2f..%2fsecret", b"/.%2e/secret", b"/..%5csecret", b"/..\\secret", b"//../secret",
                   b"/sub/%2e%2e/%2e%2e/secret", b"/%252e%252e/secret", b"/..;/secret", b"/%c0%ae%c0%ae/secret",
                   b"/" + bytes(self.folder) + b"/secret", b"//" + bytes(self.folder) + b"/secret",
                   b"http://x/../secret", b"/a.txt/../../secret", b"/proc/self/environ", b"/out", b"/out_of/secret")
        (self.root / "out").symlink_to("../secret")
        (self.root / "out_of").symlink_to("..")
        for mixin in MIXINS:
            for follow in ([], ["--follow-symlinks"]):
                with self.serve(*follow, mixin=mixin) as server:
                    for target in targets:
                        with self.subTest(mixin, follow=follow, target=target):
                            answer = self.get(server, target)
                            self.assertIn(answer.status, (400, 403, 404))
                            self.assertNotIn(b"secret</p>", answer.body)
                            self.assertNotEqual(answer.body, b"secret")
                    server.end(signal.SIGTERM)

    def test_symbolic_links(self):
        (self.root / "link").symlink_to("a.txt")
        (self.root / "folder").symlink_to("sub")
        for follow, status in (([], 403), (["--follow-symlinks"], 200)):
            with self.serve(*follow) as server:
                self.assertEqual(self.get(server, b"/link").status, status)
                self.assertEqual(self.get(server, b"/folder/").status, status)
                self.assertIn(b">link</a>@", self.get(server, b"/").body)

    def test_only_regular_files(self):
        os.mkfifo(self.root / "fifo")
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(str(self.root / "socket"))
            with self.serve() as server:
                for name in (b"/fifo", b"/socket"):
                    self.assertEqual(self.get(server, name).status, 403)

    def test_a_named_pipe_is_not_touched(self):
        """A writer waits for a reader: it must not take the server for one."""
        os.mkfifo(self.root / "fifo")
        with self.serve() as server, concurrent.futures.ThreadPoolExecutor(1) as pool:
            writer = pool.submit(os.open, self.root / "fifo", os.O_WRONLY)
            for _ in range(10):
                self.assertEqual(self.get(server, b"/fifo").status, 403)
            self.assertFalse(writer.done())
            reader = os.open(self.root / "fifo", os.O_RDONLY | os.O_NONBLOCK)
            os.close(writer.result())
            os.close(reader)

    def test_an_index_that_is_no_file_is_none(self):
        with socket.socket(socket.AF_UNIX) as other:
            for name, make in (("folder", os.mkdir), ("fifo", os.mkfifo), ("socket", lambda path: other.bind(path))):
                (self.root / name / "beside").mkdir(parents=True)
                make(str(self.root / name / "index.html"))
            for mixin in MIXINS:
                with self.subTest(mixin), self.serve(mixin=mixin) as server:
                    for name in (b"folder", b"fifo", b"socket"):
                        answer = self.get(server, b"/" + name + b"/")
                        self.assertEqual(answer.status, 200)
                        self.assertIn(b"./beside/", answer.body)
                    server.end(signal.SIGTERM)

    def test_a_folder_that_is_none_and_bad_usage(self):
        missing = str(self.folder / "none")
        self.assert_fails(1, run(program("http_server"), "--directory", missing), "none", "No such file")
        self.assert_fails(1, run(program("http_server"), "--access-log", str(self.folder / "none/log")), "none/log")
        for arguments in (["--keep-alive", "-1"], ["--head-time", "0"], ["--max-head", "x"], ["--mixin", "hope"],
                          ["--listen", "udp://127.0.0.1:0"]):
            self.assert_fails(2, run(program("http_server"), *arguments), "Try http_server --help.")


class Changes(Site):
    """Files that change, or that others hold."""

    def test_no_two_contents_share_a_tag(self):
        file = self.root / "a.txt"

        def replace(content):  # as `mv` does
            (self.root / "new").write_bytes(content)
            os.utime(self.root / "new", (1000, 1000))
            (self.root / "new").rename(file)

        def overwrite(content):  # as `cp -p` does
            file.write_bytes(content)
            os.utime(file, (1000, 1000))

        for mixin in MIXINS:
            with self.subTest(mixin), self.serve(mixin=mixin) as server:
                for change in (replace, overwrite, file.write_bytes):
                    tags = set()
                    for i in range(50):  # of the same size, several of them between two ticks of the clock
                        change(b"%010d" % i)
                        answer = self.get(server, b"/a.txt")
                        self.assertEqual(answer.body, b"%010d" % i)
                        tags.add(answer.fields["etag"].removeprefix("W/"))
                    self.assertEqual(len(tags), 50, change)
                    etag = self.get_settled(server, b"/a.txt").fields["etag"].encode()
                    self.assertEqual(self.get(server, b"/a.txt", b"If-None-Match: " + etag + b"\r\n").status, 304)
                server.end(signal.SIGTERM)

    def test_last_modified_is_never_later_than_date(self):
        with self.serve() as server:  # RFC 9110, 8.8.2.1
            for modified in (time.time() + 3600, 2**33):
                os.utime(self.root / "a.txt", (modified, modified))
                answer = self.get(server, b"/a.txt")
                date, last = (email.utils.parsedate_to_datetime(answer.fields[name])
                              for name in ("date", "last-modified"))
                self.assertLessEqual(last, date)
                self.assertEqual(self.get(server, b"/a.txt", b"If-None-Match: " + answer.fields["etag"].encode() +
                                          b"\r\n").status, 304 if answer.fields["etag"][0] == '"' else 200)

    def test_a_folder_that_is_replaced_or_a_link_that_is_switched(self):
        first, second, link = (self.folder / name for name in ("first", "second", "link"))

        def fill():
            for folder in (first, second):
                folder.mkdir()
                (folder / "name").write_bytes(folder.name.encode())
            link.symlink_to("first")

        for mixin in EVERY_MIXIN:
            for arguments, expected in (([], [b"first", b"first", b"first"]),
                                        (["--reopen-directory"], [b"first", b"second", b"replaced"])):
                fill()
                self.root = link
                with self.subTest(mixin, arguments=arguments), self.serve(*arguments, mixin=mixin) as server:
                    bodies = [self.get(server, b"/name").body]
                    (self.folder / "new").symlink_to("second")
                    (self.folder / "new").rename(link)
                    bodies.append(self.get(server, b"/name").body)
                    second.rename(self.folder / "old")
                    if arguments:
                        answer = self.get(server, b"/name")
                        self.assertEqual((answer.status, answer.fields.get("retry-after")), (503, "5"))
                    second.mkdir()
                    (second / "name").write_bytes(b"replaced")
                    bodies.append(self.get(server, b"/name").body)
                    self.assertEqual(bodies, expected)
                    server.end(signal.SIGTERM)
                    self.assertEqual(server.errors(), "")
                for folder in (first, second, self.folder / "old"):
                    shutil.rmtree(folder)
                link.unlink()

    def test_a_file_that_others_have_a_lease_of(self):
        """A lease (fcntl(2)) makes opening fail until its holder gives it up."""
        self.addCleanup(signal.signal, signal.SIGIO, signal.signal(signal.SIGIO, signal.SIG_IGN))
        files = ((b"/a.txt", self.root / "a.txt"), (b"/sub/", self.root / "sub" / "index.html"))
        with contextlib.ExitStack() as stack:
            def take(file):
                descriptor = os.open(file, os.O_RDWR)
                stack.callback(os.close, descriptor)
                fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)
                return descriptor

            descriptors = [take(file) for _, file in files]
            servers = [stack.enter_context(self.serve(*arguments, mixin=mixin)) for mixin, arguments in
                       (("none", []), ("threading", []), ("forking", []), ("fiber", ["--workers", "1"]))]
            with concurrent.futures.ThreadPoolExecutor(16) as pool:
                answers = [pool.submit(self.get, server, target) for server in servers for target, _ in files]
                for server in servers[1:]:  # others are not held up
                    self.assertEqual(self.get(server, b"/empty").status, 200)
                for answer in answers:
                    fields = answer.result().fields
                    self.assertEqual((answer.result().status, fields.get("retry-after")), (503, "5"))
                answers = [pool.submit(self.get, server, target) for server in servers for target, _ in files]
                for descriptor in descriptors:  # while they are waited for, or before
                    fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
                for answer in answers:
                    self.assertIn(answer.result().status, (200, 503))
            for server in servers:
                for target, _ in files:
                    self.assertEqual(self.get(server, target).status, 200)
                server.end(signal.SIGTERM)
                self.assertEqual(server.errors(), "")

    def test_a_file_that_cannot_be_read_is_a_500_in_the_log(self):
        """Files of sysfs have less in them than their size says."""
        self.root = pathlib.Path("/sys/kernel")
        if not (self.root / "uevent_seqnum").exists():
            self.skipTest("there is no sysfs")
        for mixin in MIXINS:
            log = self.folder / mixin
            with self.subTest(mixin), self.serve(mixin=mixin, log=str(log)) as server:
                self.assertEqual(self.get(server, b"/uevent_seqnum").status, 500)
                eventually(lambda: "has become shorter" in server.errors())
                self.assertRegex(log.read_text(), '"GET /uevent_seqnum HTTP/1.1" 500 ')
                server.end(signal.SIGTERM)


class Sending(Site):
    size = 40 * MIB + 1  # more than the buffers of sockets take

    def setUp(self):
        super().setUp()
        self.large = self.root / "large"
        self.content = random.Random(1).randbytes(MIB) * 40 + b"x"
        self.large.write_bytes(self.content)

    def begin(self, server, client, fields=b""):
        client.sendall(b"GET /large HTTP/1.1\r\n" + HOST + fields + b"\r\n")
        head = b""
        while b"\r\n\r\n" not in head:
            head += client.recv(1)
        return head

    def receive_rest(self, client):
        """How many bytes come before the connection ends."""
        size = 0
        with contextlib.suppress(ConnectionError):
            while piece := client.recv(MIB):
                size += len(piece)
        return size

    def test_large_files_arrive_as_they_are(self):
        expected = hashlib.sha256(self.content).hexdigest()
        for mixin in EVERY_MIXIN:
            with self.subTest(mixin), self.serve(mixin=mixin) as server:
                client = UnixConnection(server)
                for _ in range(2):
                    client.request("GET", "/large")
                    answer = client.getresponse()
                    digest = hashlib.sha256()
                    while piece := answer.read(65536):
                        digest.update(piece)
                    self.assertEqual(digest.hexdigest(), expected)
                client.request("GET", "/large", headers={"Range": f"bytes={self.size - 3 * MIB}-"})
                self.assertTrue(client.getresponse().read() == self.content[-3 * MIB:])
                client.close()
                server.end(signal.SIGTERM)
                self.assertEqual(server.errors(), "")

    def test_clients_that_take_their_time_hold_up_no_one(self):
        with self.serve("--workers", "1", mixin="fiber") as server, contextlib.ExitStack() as stack:
            slow = [stack.enter_context(server.client()) for _ in range(8)]
            for client in slow:
                self.begin(server, client, b"Connection: close\r\n")
            self.assertEqual(self.get(server, b"/a.txt").body, b"0123456789")
            for client in slow:
                self.assertEqual(self.receive_rest(client), self.size)

    def test_a_file_that_becomes_shorter_ends_the_connection(self):
        for mixin in MIXINS:
            self.large.write_bytes(self.content)
            with self.subTest(mixin), self.serve(mixin=mixin) as server:
                with server.client() as client:
                    self.begin(server, client)
                    os.truncate(self.large, MIB)
                    self.assertLess(self.receive_rest(client), self.size)
                eventually(lambda: "has become shorter" in server.errors())
                self.assertEqual(self.get(server, b"/a.txt").body, b"0123456789")
                server.end(signal.SIGTERM)

    def test_a_file_that_grows_is_sent_as_it_was(self):
        with self.serve() as server, server.client() as client:
            self.begin(server, client, b"Connection: close\r\n")
            with self.large.open("ab") as file:
                file.write(b"more")
            self.assertEqual(self.receive_rest(client), self.size)

    def test_a_client_that_goes_in_the_middle(self):
        for mixin in MIXINS:
            log = self.folder / mixin
            with self.subTest(mixin), self.serve(mixin=mixin, log=str(log)) as server:
                with server.client() as client:
                    self.begin(server, client)
                    client.recv(1)
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                eventually(lambda: log.exists() and log.read_text())
                sent = int(re.search(r'" 200 (\d+) "', log.read_text()).group(1))
                self.assertLess(sent, self.size)
                self.assertEqual(self.get(server, b"/a.txt").body, b"0123456789")
                server.end(signal.SIGTERM)
                self.assertRegex(server.errors(), r"\A(sockserv: .* has gone: .*\n)\Z")

    def test_a_client_that_takes_nothing_is_aborted(self):
        for mixin in MIXINS:
            with self.subTest(mixin), self.serve("--transfer-time", "1", mixin=mixin) as server:
                with server.client() as client:
                    self.begin(server, client)
                    eventually(lambda: "time" in server.errors())
                    self.assertLess(self.receive_rest(client), self.size)
                server.end(signal.SIGTERM)

    def test_many_clients_at_a_time(self):
        expected = hashlib.sha256(self.content[:4 * MIB]).hexdigest()

        def fetch(server):
            answer = self.get(server, b"/large", b"Range: bytes=0-%d\r\n" % (4 * MIB - 1))
            return hashlib.sha256(answer.body).hexdigest()

        for mixin in MIXINS:
            with self.subTest(mixin), self.serve(mixin=mixin) as server:
                with concurrent.futures.ThreadPoolExecutor(16) as pool:
                    self.assertEqual(set(pool.map(fetch, [server] * 32)), {expected})
                server.end(signal.SIGTERM)


class Limits(Site):

    def test_a_head_that_comes_too_slowly_is_a_408(self):
        for mixin in MIXINS:
            with self.subTest(mixin), self.serve("--head-time", "1", mixin=mixin) as server:
                with server.client() as client, client.makefile("rb") as file:
                    client.settimeout(0.1)
                    begin = time.monotonic()
                    with contextlib.suppress(ConnectionError):
                        # A byte now and then is a sign of life, and no reason to wait indefinitely.
                        client.sendall(b"GET / HTTP/1.1\r\n")
                        while time.monotonic() < begin + PATIENCE:
                            client.sendall(b"X")
                            with contextlib.suppress(TimeoutError):
                                client.recv(1, socket.MSG_PEEK)
                                break
                    client.settimeout(PATIENCE)
                    answer = Answer(file)
                    self.assertEqual((answer.status, answer.fields["connection"]), (408, "close"))
                    self.assertGreater(time.monotonic() - begin, 0.9)
                server.end(signal.SIGTERM)

    def test_a_body_that_stands_still_is_a_408(self):
        for mixin in MIXINS:
            with self.subTest(mixin), self.serve("--demo", "--transfer-time", "1", mixin=mixin) as server:
                with server.client() as client, client.makefile("rb") as file:
                    client.sendall(b"POST /echo HTTP/1.1\r\n" + HOST + b"Content-Length: 10\r\n\r\nhalf")
                    self.assertEqual(Answer(file).status, 408)
                server.end(signal.SIGTERM)

    def test_a_client_that_reads_slowly_is_not_idle(self):
        """Whatever it reads: a listing, small files, or pages of a function. Unix sockets have small buffers."""
        (self.root / "small").write_bytes(b"x" * 32768)
        (self.root / "many").mkdir()
        for i in range(500):
            (self.root / "many" / ("name" * 10 + str(i))).touch()
        get = b"".join(b"GET " + target + b" HTTP/1.1\r\n" + HOST + b"\r\n" for target in (b"/small", b"/many/"))
        body = b"x" * 1_000_000
        post = b"POST /echo HTTP/1.1\r\n" + HOST + b"Content-Length: 1000000\r\n\r\n" + body
        with contextlib.ExitStack() as stack:
            readers = []
            for mixin in MIXINS:
                server = stack.enter_context(self.serve("--keep-alive", "2", "--head-time", "2", "--demo", mixin=mixin,
                                                        listen=f"unix://{self.folder}/{mixin}"))
                for raw, count in ((get * 20, 40), (post, 1)):
                    client = stack.enter_context(server.client())
                    client.sendall(raw)
                    readers.append((server, stack.enter_context(client.makefile("rb")), count))
            time.sleep(3.5)  # longer than each of the limits that do not count here
            for server, file, count in readers:
                for _ in range(count):
                    self.assertEqual(Answer(file).status, 200)
                self.assertEqual(server.errors(), "")

    def test_a_client_that_takes_no_small_answers_is_aborted(self):
        (self.root / "small").write_bytes(b"x" * 32768)
        raw = (b"GET /small HTTP/1.1\r\n" + HOST + b"\r\n") * 400
        limits = ("--keep-alive", "3600", "--head-time", "3600", "--transfer-time", "1")
        for mixin in MIXINS:
            with self.subTest(mixin), self.serve(*limits, mixin=mixin) as server, server.client() as client:
                client.sendall(raw)
                eventually(lambda: "connection aborted" in server.errors())
                size = 0
                with contextlib.suppress(ConnectionError):
                    while piece := client.recv(MIB):
                        size += len(piece)
                self.assertLess(size, 400 * 32768)
                server.end(signal.SIGTERM)

    def test_a_body_in_small_chunks_has_the_rate_of_a_body(self):
        def is_aborted(server, chunk):
            with server.client() as client:
                client.sendall(b"POST /echo HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n")
                client.settimeout(0.1)
                deadline = time.monotonic() + PATIENCE
                while time.monotonic() < deadline:
                    try:
                        client.sendall(chunk)
                        if client.recv(1) == b"":
                            return True
                    except TimeoutError:
                        pass
                    except ConnectionError:
                        return True
            return False

        with contextlib.ExitStack() as stack:
            servers = [stack.enter_context(self.serve("--demo", "--min-receive-rate", "1000", mixin=mixin))
                       for mixin in MIXINS]
            with concurrent.futures.ThreadPoolExecutor(16) as pool:
                # What stands around the body does not make it faster.
                aborted = [pool.submit(is_aborted, server, chunk) for server in servers
                           for chunk in (b"1\r\nx\r\n", b"1;" + b"x" * 500 + b"\r\nx\r\n")]
                self.assertTrue(all(each.result() for each in aborted))
            for server in servers:  # a body that comes fast enough, in chunks as small
                chunks = b"1\r\nx\r\n" * 2000 + b"0\r\n\r\n"
                answer = self.ask(server, b"POST /echo HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n" +
                                  chunks)
                self.assertEqual(answer.body, b"x" * 2000)

    def test_idle_connections_are_closed(self):
        for mixin in MIXINS:
            with self.subTest(mixin), self.serve("--keep-alive", "1", mixin=mixin) as server:
                with server.client() as silent, server.client() as client, client.makefile("rb") as file:
                    client.sendall(b"GET /a.txt HTTP/1.1\r\n" + HOST + b"\r\n")
                    self.assertEqual(Answer(file).body, b"0123456789")
                    self.assertEqual(file.read(), b"")
                    self.assertEqual(silent.recv(1), b"")
                server.end(signal.SIGTERM)
                self.assertEqual(server.errors(), "")

    def test_without_keep_alive_each_answer_ends_its_connection(self):
        with self.serve("--keep-alive", "0") as server:
            answer = self.ask(server, (b"GET /a.txt HTTP/1.1\r\n" + HOST + b"\r\n") * 2)
            self.assertEqual((answer.body, answer.fields["connection"]), (b"0123456789", "close"))

    def test_sizes(self):
        limits = ("--max-head", "200", "--max-target", "20", "--max-fields", "5", "--max-body", "10")
        with self.serve("--demo", *limits) as server:
            self.assertEqual(self.get(server, b"/a.txt?" + b"x" * 13).status, 200)
            self.assertEqual(self.get(server, b"/a.txt?" + b"x" * 14).status, 414)
            self.assertEqual(self.get(server, b"/a.txt", b"X: " + b"x" * 200 + b"\r\n").status, 431)
            self.assertEqual(self.get(server, b"/a.txt", b"X: x\r\n" * 4).status, 200)
            self.assertEqual(self.get(server, b"/a.txt", b"X: x\r\n" * 5).status, 431)
            post = b"POST /echo HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n"
            self.assertEqual(self.ask(server, post % 10 + b"x" * 10).status, 200)
            self.assertEqual(self.ask(server, post % 11 + b"x" * 11).status, 413)

    def test_the_end_does_not_wait_for_idle_connections(self):
        for mixin in EVERY_MIXIN:
            with self.subTest(mixin), self.serve("--keep-alive", "3600", "--drain", "3600", mixin=mixin) as server:
                with server.client() as client, client.makefile("rb") as file:
                    client.sendall(b"GET /a.txt HTTP/1.1\r\n" + HOST + b"\r\n\r\n")  # and an empty line too many
                    self.assertEqual(Answer(file).body, b"0123456789")
                    with contextlib.ExitStack() as more:
                        if mixin != "none":
                            more.enter_context(server.client())  # which browsers make in advance
                        server.end(signal.SIGTERM)
                        self.assertEqual(file.read(), b"")
                self.assertEqual(server.errors(), "")


class Log(Site):

    def test_every_request_is_a_line(self):
        for mixin in EVERY_MIXIN:
            log = self.folder / mixin
            with self.subTest(mixin), self.serve(mixin=mixin, log=str(log)) as server:
                for _ in range(20):
                    self.get(server, b"/a.txt", b"Referer: http://x/\r\nUser-Agent: test\r\n")
                self.get(server, b"/none")
                server.end(signal.SIGTERM)
                lines = log.read_text().splitlines()
                self.assertEqual(len(lines), 21)
                for line in lines[:-1]:
                    self.assertRegex(line, r'^127\.0\.0\.1 - - \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] '
                                           r'"GET /a.txt HTTP/1.1" 200 10 "http://x/" "test"$')
                self.assertIn('"GET /none HTTP/1.1" 404 ', lines[-1])

    def test_nobody_forges_a_line(self):
        with self.serve("--head-time", "1", log="-") as server:
            self.get(server, b"/\"%20x", b"User-Agent: \" 200 \\\xff\r\n")
            self.ask(server, b"GET /\r127.0.0.1 - - \x1b[2J\n HTTP/1.1\r\n\r\n")
            eventually(lambda: server.errors().count("\n") == 2)
            first, second = server.errors().splitlines()
            self.assertRegex(first, r'"GET /\\"%20x HTTP/1\.1" 404 \d+ "-" "\\" 200 \\\\\\xff"$')
            self.assertRegex(second, r'"GET /\\x0d127\.0\.0\.1 - - \\x1b\[2J\\x0a HTTP/1\.1" 400 \d+ "-" "-"$')


if __name__ == "__main__":
    unittest.main()
