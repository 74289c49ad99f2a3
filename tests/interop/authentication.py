"""Python's multiprocessing.connection, and clients and servers made of socket and hmac, authenticate themselves to
authenticating_server and have authenticating_client do so."""

import contextlib
import hmac
import multiprocessing
import secrets
import signal
import socket
import struct
import subprocess
import sys
import threading
import unittest
from multiprocessing.connection import Client, Listener

from handshake import authenticate_as_client, mac, pretend_to_be_server
from server import PATIENCE, Server, program, scratch, time_limit

KEY, OTHER_KEY = "the shared key", "another key"
MESSAGES = (b"", b"hello", bytes(range(256)), b"x" * 100_000)
MIXINS = ("none", "threading", "forking", "preforking", "thread_pool", "fiber", "preforking_fiber")
SAYS_SHA256 = sys.version_info >= (3, 12)  # so does this Python's own multiprocessing
NOT_AUTHENTICATED = 3  # exit code of the client


def authenticating_server(protocol, url="tcp://127.0.0.1:0", mixin="threading"):
    return Server("authenticating_server", protocol, KEY, "--listen", url, "--mixin", mixin)


def authenticating_client(protocol, key, address, *messages):
    where = [address] if isinstance(address, str) else [address[0], str(address[1])]
    return subprocess.Popen([program("authenticating_client"), protocol, key, *where, *messages],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def rejected(server, count=1):
    """How often the server says that it has rejected a client."""
    lines = [line for line in server.errors().splitlines() if " was rejected: " in line]
    return len(lines) == count and KEY not in server.errors()


# multiprocessing as it is since Python 3.12, where this Python is older.


class Sha256Peer:
    """Over a connection of multiprocessing's that was made without an authkey."""

    def __init__(self, connection, key, digest="sha256"):
        self.connection, self.key, self.digest = connection, key, digest

    def deliver_challenge(self):
        challenge = b"{%s}" % self.digest.encode() + secrets.token_bytes(40)
        self.connection.send_bytes(b"#CHALLENGE#" + challenge)
        response = self.connection.recv_bytes(256)
        name, sent = self.split(response)
        if not hmac.compare_digest(sent, mac(self.key.encode(), challenge, name)):
            self.connection.send_bytes(b"#FAILURE#")
            raise multiprocessing.AuthenticationError("digest received was wrong")
        self.connection.send_bytes(b"#WELCOME#")

    def answer_challenge(self):
        message = self.connection.recv_bytes(256)
        if not message.startswith(b"#CHALLENGE#"):
            raise multiprocessing.AuthenticationError(f"protocol error: {message!r}")
        challenge = message[len(b"#CHALLENGE#"):]
        name, _ = self.split(challenge)
        self.connection.send_bytes(b"{%s}" % name.encode() + mac(self.key.encode(), challenge, name))
        response = self.connection.recv_bytes(256)
        if response != b"#WELCOME#":
            raise multiprocessing.AuthenticationError("digest sent was rejected")

    @staticmethod
    def split(message):
        end = message.find(b"}", 1, 10)
        name = message[1:end].decode()
        if not message.startswith(b"{") or end < 0 or name not in ("md5", "sha256", "sha384", "sha3_256", "sha3_384"):
            raise multiprocessing.AuthenticationError("unsupported message")
        return name, message[end + 1:]


def echo(connection):
    with contextlib.suppress(EOFError):
        while True:
            connection.send_bytes(connection.recv_bytes())


class Multiprocessing(unittest.TestCase):
    """What this Python's own multiprocessing does: by SHA-256 from 3.12 on, before that by MD5 only."""

    protocol = "multiprocessing" if SAYS_SHA256 else "multiprocessing_md5"

    def connect(self, address, key):
        return Client(address, authkey=key.encode())

    @contextlib.contextmanager
    def listener(self, address=None):
        """Accepts one client, and echoes its messages; yields the address and what became of it."""
        outcome = []
        family = "AF_UNIX" if isinstance(address, str) else "AF_INET"
        with Listener(address or ("127.0.0.1", 0), family, authkey=self.listener_key()) as listener:
            def serve():
                try:
                    with listener.accept() as connection:
                        self.authenticate_client(connection)
                        outcome.append("accepted")
                        echo(connection)
                except (multiprocessing.AuthenticationError, EOFError, OSError) as error:
                    outcome.append(error)
            thread = threading.Thread(target=serve)
            thread.start()
            try:
                yield listener.address, outcome
            finally:
                thread.join(PATIENCE)
                self.assertFalse(thread.is_alive())

    def listener_key(self):
        return KEY.encode()

    def authenticate_client(self, connection):
        pass  # accept() has

    def test_clients_with_the_key_are_served_under_every_mixin(self):
        for mixin in MIXINS:
            with self.subTest(mixin), time_limit(), authenticating_server(self.protocol, mixin=mixin) as server:
                with self.connect(server.address, KEY) as connection:
                    for message in MESSAGES:
                        connection.send_bytes(message)
                        self.assertEqual(connection.recv_bytes(), message)
                server.end(signal.SIGTERM)
                self.assertEqual(server.errors(), "")

    def test_clients_of_a_unix_socket(self):
        with scratch() as folder, time_limit():
            with authenticating_server(self.protocol, f"unix://{folder}/server") as server:
                with self.connect(server.address, KEY) as connection:
                    connection.send({"an": "object"})
                    self.assertEqual(connection.recv(), {"an": "object"})
                server.end(signal.SIGTERM)

    def test_clients_with_another_key_are_rejected(self):
        for mixin in MIXINS:
            with self.subTest(mixin), time_limit(), authenticating_server(self.protocol, mixin=mixin) as server:
                with self.assertRaises(multiprocessing.AuthenticationError):
                    self.connect(server.address, OTHER_KEY)
                with self.connect(server.address, KEY) as connection:
                    connection.send_bytes(b"still there")
                    self.assertEqual(connection.recv_bytes(), b"still there")
                server.end(signal.SIGTERM)
                self.assertTrue(rejected(server), server.errors())

    def test_our_client_is_served_by_a_listener(self):
        with scratch() as folder:
            for address in (None, f"{folder}/listener"):
                with self.subTest(address), time_limit(), self.listener(address) as (where, outcome):
                    messages = ("hello", "", "grüß dich", "x" * 100_000)
                    client = authenticating_client(self.protocol, KEY, where, *messages)
                    output, errors = client.communicate(timeout=PATIENCE)
                    self.assertEqual((output, errors, client.returncode), ("\n".join([*messages, ""]), "", 0))
                self.assertEqual(outcome, ["accepted"])

    def test_our_client_with_another_key_is_rejected_by_a_listener(self):
        with time_limit(), self.listener() as (where, outcome):
            client = authenticating_client(self.protocol, OTHER_KEY, where, "hello")
            output, errors = client.communicate(timeout=PATIENCE)
            self.assertEqual((output, client.returncode), ("", NOT_AUTHENTICATED))
            self.assertIn("the peer rejects our answer", errors)
        self.assertIsInstance(outcome[0], multiprocessing.AuthenticationError)

    @unittest.skipIf(SAYS_SHA256, "this Python does not insist on MD5")
    def test_md5_is_refused_unless_it_is_allowed(self):
        with time_limit(), authenticating_server("multiprocessing") as server:
            with self.assertRaises(multiprocessing.AuthenticationError):
                self.connect(server.address, KEY)
            server.end(signal.SIGTERM)
            self.assertIn("MD5, which is not allowed", server.errors())
        with time_limit(), self.listener() as (where, _):
            client = authenticating_client("multiprocessing", KEY, where, "hello")
            _, errors = client.communicate(timeout=PATIENCE)
            self.assertEqual(client.returncode, NOT_AUTHENTICATED)
            self.assertIn("MD5, which is not allowed", errors)


class Sha256(Multiprocessing):
    """What multiprocessing does since Python 3.12, told by this script."""

    protocol = "multiprocessing"
    digest = "sha256"

    def connect(self, address, key):
        connection = Client(address)
        try:
            peer = Sha256Peer(connection, key, self.digest)
            peer.answer_challenge()
            peer.deliver_challenge()
        except BaseException:
            connection.close()
            raise
        return connection

    def listener_key(self):
        return None

    def authenticate_client(self, connection):
        peer = Sha256Peer(connection, KEY, self.digest)
        peer.deliver_challenge()
        peer.answer_challenge()

    test_md5_is_refused_unless_it_is_allowed = None


class Sha3384(Sha256):
    """The same with another digest than Python's default, which it accepts as well."""

    digest = "sha3_384"


class Plain(unittest.TestCase):
    """The protocols that are not Python's, as docs/wire_formats.md has them."""

    def frame(self, message):
        return struct.pack("!i", len(message)) + message

    def exchange(self, client):
        client.sendall(self.frame(b"hello"))
        self.assertEqual(client.recv(9, socket.MSG_WAITALL), self.frame(b"hello"))

    def simple(self, client, key):
        client.sendall(mac(key.encode(), client.recv(32, socket.MSG_WAITALL)))

    def test_simple(self):
        for mixin in MIXINS:
            with self.subTest(mixin), time_limit(), authenticating_server("simple", mixin=mixin) as server:
                with server.client() as client:
                    self.simple(client, OTHER_KEY)
                    self.assertEqual(client.recv(1), b"")
                with server.client() as client:
                    self.simple(client, KEY)
                    self.exchange(client)
                server.end(signal.SIGTERM)
                self.assertTrue(rejected(server), server.errors())

    def test_mutual(self):
        for mixin in MIXINS:
            with self.subTest(mixin), time_limit(), authenticating_server("mutual", mixin=mixin) as server:
                with server.client() as client:
                    self.assertFalse(authenticate_as_client(client, OTHER_KEY.encode()))
                with server.client() as client:
                    self.assertTrue(authenticate_as_client(client, KEY.encode()))
                    self.exchange(client)
                server.end(signal.SIGTERM)
                self.assertTrue(rejected(server), server.errors())

    def test_our_client(self):
        for protocol in ("simple", "mutual"):
            with self.subTest(protocol), time_limit(), authenticating_server(protocol) as server:
                for key, code in ((OTHER_KEY, NOT_AUTHENTICATED), (KEY, 0)):
                    client = authenticating_client(protocol, key, server.address, "hello")
                    output, _ = client.communicate(timeout=PATIENCE)
                    self.assertEqual((output, client.returncode), ("hello\n" if code == 0 else "", code))
                server.end(signal.SIGTERM)

    def test_our_client_and_a_server_that_does_not_know_the_key(self):
        with time_limit(), socket.create_server(("127.0.0.1", 0)) as listener:
            client = authenticating_client("mutual", KEY, listener.getsockname(), "hello")
            with listener.accept()[0] as connection:
                pretend_to_be_server(connection, OTHER_KEY.encode())
                output, errors = client.communicate(timeout=PATIENCE)
            self.assertEqual((output, client.returncode), ("", NOT_AUTHENTICATED))
            self.assertIn("the server's proof is wrong", errors)


if __name__ == "__main__":
    if sys.argv[1:] == ["no newer Python"]:
        print("skipped: there is no Python 3.12 or newer here, whose multiprocessing authenticates by SHA-256")
        sys.exit(77)
    unittest.main()
