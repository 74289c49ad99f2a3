"""No UDP server of the examples answers an answer, with one exception: loops.py TEST_CLASS."""

import contextlib
import itertools
import signal
import socket
import unittest

from case import Case
import own_network
from server import PATIENCE, Server

# The servers that answer whoever asks, and a question of each. (12_udp_chat_server answers nobody: see chat.py.)
PROBES = {"02_udp_server": b"probe", "07_udp_server": b"probe", "08_mixins_server": b"who", "13_time_server": b"%H",
          "datagram_upper_server": b"probe", "demo_server": b"who\n", "echo_server": b"probe"}
QUESTIONS = (b"", b"hello", b"hello\nworld", b"HELLO", b"who", b"who\n", b"WHO\n", b"process 1 thread 1", b"%H", b"%", b"%%",
             b"100 %% at %a", b"% bytes from %a", b"datagram 1 here, 5 bytes from 127.0.0.1:1: hello", "ä %a ß".encode(),
             b"* too many are speaking; try again later")
MOST_PACKETS = 6  # that a question leads to


class Asked:
    """A server, and two who ask it."""

    def __init__(self, name, stack):
        self.probe = PROBES[name]
        if name.startswith("07"):
            self.server = stack.enter_context(Server(name, silent_at="udp://127.0.0.1:9000"))
        else:
            where = ["0"] if name.startswith("02") else ["--listen", "udp://127.0.0.1:0"]
            self.server = stack.enter_context(Server(name, *where))
        self.asker, self.other = (stack.enter_context(self.server.client()) for _ in range(2))

    def answer_to(self, packet, asker=None):
        """The answer; None if there is none when a later question has been answered."""
        asker = asker or self.asker
        asker.send(packet)
        self.other.send(self.probe)
        self.other.recv(70_000)
        asker.setblocking(False)
        try:
            return asker.recv(70_000)
        except BlockingIOError:
            return None
        finally:
            asker.settimeout(PATIENCE)


class Loops(Case):

    @classmethod
    def setUpClass(cls):
        if missing := own_network.enter():  # one of the servers has a fixed port
            raise unittest.SkipTest(missing)

    def test_two_servers_of_any_kind_do_not_keep_each_other_busy(self):
        with contextlib.ExitStack() as stack:
            servers = {name: Asked(name, stack) for name in PROBES}
            pairs = [*itertools.product(PROBES, repeat=2)]
            pairs.remove(("echo_server", "echo_server"))
            for pair in pairs:
                for question in QUESTIONS:
                    with self.subTest(pair, question=question):
                        packet, packets = question, 0
                        for name in itertools.cycle(pair):
                            packet = servers[name].answer_to(packet)
                            if packet is None:
                                break
                            packets += 1
                            self.assertLessEqual(packets, MOST_PACKETS, packet)
            for each in servers.values():
                each.server.end(signal.SIGTERM)

    def test_an_echo_server_ignores_who_is_likely_to_be_a_server(self):
        with contextlib.ExitStack() as stack:
            echo = Asked("echo_server", stack)
            for address in (("127.0.0.2", echo.server.address[1]), free_known_port()):
                sender = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                try:
                    sender.bind(address)
                except OSError:
                    continue  # it is another's, or known ports are only for root
                sender.connect(echo.server.address)
                self.assertIsNone(echo.answer_to(b"hello", sender))
            self.assertEqual(echo.answer_to(b"hello"), b"hello")
            echo.server.end(signal.SIGTERM)


def free_known_port():
    for port in range(700, 1024):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return ("127.0.0.1", port)
    return ("127.0.0.1", 1023)


if __name__ == "__main__":
    unittest.main()
