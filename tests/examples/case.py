"""What the tests of the examples have in common."""

import socket
import struct
import unittest

from server import PATIENCE, program, run

IO_MODELS = ("blocking", "nonblocking", "multiplexed", "signal_driven", "asynchronous")


class Case(unittest.TestCase):

    def run_client(self, name, *arguments, **settings):
        """Runs a client that is expected to end well; returns what it prints."""
        result = run(program(name), *arguments, **settings)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stdout

    def assert_fails(self, code, result, *parts):
        self.assertEqual((result.returncode, result.stdout), (code, ""), result.stderr)
        for part in parts:
            self.assertIn(part, result.stderr)


def port_of(server):
    return str(server.address[1])


def receive(client, count):
    """So many bytes, in however many pieces they come."""
    received = b""
    while len(received) < count:
        piece = client.recv(65536)
        assert piece, f"the server has closed the connection after {received!r}"
        received += piece
    return received


def everything(client):
    with client.makefile("rb") as file:
        return file.read()


def break_off(server):
    """A client that sends, and resets the connection instead of taking the answer."""
    with server.client() as client:
        client.sendall(b"x" * 10_000)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def one_at_a_time(case, server, question, answer):
    """Expects a second client to be connected, but not served until the first has gone."""
    with server.client() as first, server.client() as second:
        first.sendall(question)
        case.assertEqual(receive(first, len(answer)), answer)
        second.sendall(question)
        second.settimeout(0.2)
        case.assertRaises(TimeoutError, second.recv, 10)
        first.close()
        second.settimeout(PATIENCE)
        case.assertEqual(receive(second, len(answer)), answer)
