"""Python's struct, socket and multiprocessing.connection exchange messages with message_echo_server."""

import signal
import socket
import struct
import unittest
from multiprocessing.connection import Client

from server import Server, scratch, time_limit

MAX_MESSAGE = 1_000_000  # the server's
MESSAGES = (b"", b"a", b"two\nlines\n", bytes(range(256)), b"x" * 100_000, b"", b"y" * MAX_MESSAGE)

# As people write them in Python.
FORMATS = {"uint32_big_endian": "!I", "int32_little_endian": "<i", "uint64_big_endian": "!Q", "multiprocessing": "!i"}


def urls(folder):
    return "tcp://127.0.0.1:0", f"unix://{folder}/server"


def message_server(prefix, url):
    return Server("message_echo_server", prefix, "--listen", url, "--mixin", "threading")


class Framed:
    """A client made of socket and struct."""

    def __init__(self, server, length_format):
        self.format = length_format
        self.socket = server.client()
        self.file = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.socket.close()

    def frame(self, message):
        return struct.pack(self.format, len(message)) + message

    def receive(self):
        header = self.file.read(struct.calcsize(self.format))
        size, = struct.unpack(self.format, header)
        return self.file.read(size)

    def is_closed(self):
        """True once the server has ended the conversation."""
        try:
            return self.file.read() == b""
        except ConnectionResetError:  # it had not read all
            return True


class Struct(unittest.TestCase):

    def clients(self):
        for prefix, length_format in FORMATS.items():
            with scratch() as folder:
                for url in urls(folder):
                    with self.subTest((prefix, url)), time_limit(), message_server(prefix, url) as server:
                        with Framed(server, length_format) as client:
                            yield server, client
                        server.end(signal.SIGTERM)

    def test_one_by_one(self):
        for _, client in self.clients():
            for message in MESSAGES:
                client.socket.sendall(client.frame(message))
                self.assertEqual(client.receive(), message)

    def test_byte_by_byte(self):
        for _, client in self.clients():
            for message in (b"", b"hello"):
                for byte in client.frame(message):
                    client.socket.sendall(bytes([byte]))
                self.assertEqual(client.receive(), message)

    def test_all_at_once(self):
        messages = MESSAGES[:4] * 100
        for _, client in self.clients():
            client.socket.sendall(b"".join(map(client.frame, messages)))
            client.socket.shutdown(socket.SHUT_WR)
            self.assertEqual([client.receive() for _ in messages], list(messages))
            self.assertTrue(client.is_closed())

    def test_the_native_int_of_python(self):
        """What struct.pack("i", n) is on this machine, if it is little-endian as x86 is."""
        self.assertEqual(struct.pack("i", 1), b"\1\0\0\0")
        with time_limit(), message_server("int32_little_endian", "tcp://127.0.0.1:0") as server:
            with Framed(server, "i") as client:
                client.socket.sendall(client.frame(b"hello"))
                self.assertEqual(client.receive(), b"hello")

    def test_what_is_refused_ends_the_conversation(self):
        wrong = {
            "uint32_big_endian": [struct.pack("!I", MAX_MESSAGE + 1), b"\xff\xff\xff\xff"],
            "int32_little_endian": [struct.pack("<i", MAX_MESSAGE + 1), struct.pack("<i", -1)],
            "uint64_big_endian": [struct.pack("!Q", MAX_MESSAGE + 1), b"\xff" * 8],
            "multiprocessing": [struct.pack("!i", MAX_MESSAGE + 1), struct.pack("!i", -2),
                                struct.pack("!iQ", -1, 2**63)],
        }
        for prefix, headers in wrong.items():
            with time_limit(), message_server(prefix, "tcp://127.0.0.1:0") as server:
                for header in headers:
                    with self.subTest((prefix, header)), Framed(server, FORMATS[prefix]) as client:
                        client.socket.sendall(client.frame(b"first"))
                        self.assertEqual(client.receive(), b"first")
                        client.socket.sendall(header)
                        self.assertTrue(client.is_closed())
                self.assertIn("messages: ", server.errors())

    def test_a_truncated_message_is_a_peer_that_has_gone(self):
        for server, client in self.clients():
            client.socket.sendall(client.frame(b"first") + client.frame(b"second")[:-1])
            client.socket.shutdown(socket.SHUT_WR)
            self.assertEqual(client.receive(), b"first")
            self.assertTrue(client.is_closed())
            self.assertIn("has gone", server.errors())
            self.assertIn("the stream ended inside a message", server.errors())


class Multiprocessing(unittest.TestCase):

    def connections(self):
        with scratch() as folder:
            for url in urls(folder):
                with self.subTest(url), time_limit(), message_server("multiprocessing", url) as server:
                    with Client(server.address) as connection:
                        yield connection
                    server.end(signal.SIGTERM)
                    self.assertEqual(server.errors(), "")

    def test_bytes(self):
        for connection in self.connections():
            for message in MESSAGES:
                connection.send_bytes(message)
                self.assertEqual(connection.recv_bytes(), message)

    def test_objects(self):
        """Their pickles come back as they were."""
        for connection in self.connections():
            for value in ({"a": [1, 2.5, None]}, "text", 10**100):
                connection.send(value)
                self.assertEqual(connection.recv(), value)

    def test_the_long_form(self):
        """Python sends it for more than 2 GiB only, and sockserv takes it for any length."""
        for connection in self.connections():
            connection._send(struct.pack("!i", -1) + struct.pack("!Q", 5) + b"hello")
            self.assertEqual(connection.recv_bytes(), b"hello")


if __name__ == "__main__":
    unittest.main()
