"""The examples with the library: library.py TEST_CLASS."""

import re
import signal
import socket
import subprocess
import time
import unittest

from case import Case, one_at_a_time, port_of
import own_network
from server import PATIENCE, Server, program, run, scratch

TCP = "tcp://127.0.0.1:9000"
CLIENTS = 3
ANSWER = r"process (\d+) thread (\d+) stack (0x[0-9a-f]+)"


class FirstHandler(Case):
    """The servers have fixed ports, and so a network of their own."""

    @classmethod
    def setUpClass(cls):
        if missing := own_network.enter():
            raise unittest.SkipTest(missing)

    def test_tcp(self):
        with Server("07_tcp_server", silent_at=TCP) as server:
            self.assertEqual(self.run_client("01_tcp_client", port_of(server), input="hello\nworld\n"), "HELLO\nWORLD\n")
            one_at_a_time(self, server, b"first", b"FIRST")
            server.end(signal.SIGTERM)

    def test_udp(self):
        with Server("07_udp_server", silent_at="udp://127.0.0.1:9000") as server:
            self.assertEqual(self.run_client("02_udp_client", port_of(server)),
                             f"127.0.0.1:{port_of(server)} says: HELLO\n")
            server.end(signal.SIGTERM)

    def test_unix(self):
        with (scratch() as folder,
              Server("07_unix_server", silent_at=f"unix://{folder}/by_hand.stream", cwd=folder) as server):
            self.assertEqual(self.run_client("03_unix_stream_client", server.path), "HELLO\n")
            server.end(signal.SIGTERM)

    def test_handlers_share_a_counter(self):
        with Server("07_counting_server", silent_at=TCP) as server:
            for number in range(CLIENTS):
                with server.client() as client, client.makefile("rb") as file:
                    self.assertEqual(file.read(), b"visitors before you: %d\n" % number)
            server.end(signal.SIGTERM)

    def test_an_error_is_reported(self):
        with Server("07_tcp_server", silent_at=TCP) as server:
            second = run(program("07_tcp_server"))
            self.assertEqual((second.returncode, second.stdout), (1, ""))
            self.assertRegex(second.stderr, r"cannot bind to 127\.0\.0\.1:9000: Address already in use.*\n$")
            server.end(signal.SIGTERM)


class Mixins(Case):

    def test_who_runs_handlers(self):
        """Of three clients that are connected at once: how many processes, threads and stacks serve them."""
        for mixin, processes, threads, stacks in (("threading", 1, 3, 3), ("forking", 3, 3, None),
                                                  ("thread_pool", 1, 3, 3), ("preforking", 3, 3, None),
                                                  ("fiber", 1, 1, 3)):
            workers = {"thread_pool": ["--workers", "3"], "preforking": ["--workers", "3"], "fiber": ["--workers", "1"]}
            with self.subTest(mixin), Server("08_mixins_server", "--listen", "tcp://127.0.0.1:0", "--mixin", mixin,
                                             *workers.get(mixin, [])) as server:
                clients = [server.client() for _ in range(CLIENTS)]
                for client in clients:
                    client.sendall(b"who\n")
                answers = [re.fullmatch(ANSWER + "\n", client.recv(200).decode()).groups() for client in clients]
                for client in clients:
                    client.close()
                self.assertEqual([len(set(part)) for part in zip(*answers)][:2], [processes, threads])
                if stacks:  # those of different processes may well have the same address
                    self.assertEqual(len({stack for _, _, stack in answers}), stacks)
                server.end(signal.SIGTERM)

    def test_without_a_mixin_clients_wait_for_their_turn(self):
        with Server("08_mixins_server", "--listen", "tcp://127.0.0.1:0", "--mixin", "none") as server:
            answer = f"process {server.process.pid} thread {server.process.pid} stack (0x[0-9a-f]+)\n"
            output = self.run_client("08_mixins_client", port_of(server))
            self.assertRegex(output, "^client 1: " + answer +
                             "client 2 has to wait until the others leave\nclient 2: " + answer +
                             "client 3 has to wait until the others leave\nclient 3: " + answer + "$")
            self.assertEqual(len(set(re.findall("0x[0-9a-f]+", output))), 1)
            server.end(signal.SIGTERM)

    def test_the_client_shows_everybody(self):
        with Server("08_mixins_server", "--listen", "tcp://127.0.0.1:0", "--mixin", "fiber") as server:
            for number in range(1, CLIENTS + 1):
                self.assertRegex(self.run_client("08_mixins_client", port_of(server)),
                                 re.compile(f"^client {number}: {ANSWER}$", re.MULTILINE))
            server.end(signal.SIGTERM)

    def test_packets(self):
        with Server("08_mixins_server", "--listen", "udp://127.0.0.1:0", "--mixin", "threading") as server:
            with server.client() as client:
                client.send(b"who")
                self.assertRegex(client.recv(200), f"^{ANSWER}\n$".encode())
            server.end(signal.SIGTERM)


class TimeServer(Case):

    def test_client_and_server(self):
        with Server("13_time_server", "--listen", "udp://127.0.0.1:0") as server:
            before = int(time.time())
            answer = int(self.run_client("13_time_client", port_of(server), "%s"))
            self.assertTrue(before <= answer <= time.time())
            self.assertRegex(self.run_client("13_time_client", port_of(server)), r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\n$")
            server.end(signal.SIGTERM)

    def test_answers_are_short_or_none(self):
        with Server("13_time_server", "--listen", "udp://127.0.0.1:0") as server, server.client() as client:
            for packet in (b"%999999999d", b"%c" * 1000, b"%H" + b"x" * 63, b"\0"):
                client.send(packet)  # no answer
            client.send(b"100 %%")  # the answer would be a question
            client.send(b"x" * 64)  # what could be an answer is no question
            client.send(b"%H" + b"x" * 62)
            self.assertRegex(client.recv(200), b"^[0-2][0-9]x{62}$")
            server.end(signal.SIGTERM)

    def test_the_client_prints_no_control_characters(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
            server.bind(("127.0.0.1", 0))
            server.settimeout(PATIENCE)
            with subprocess.Popen([program("13_time_client"), str(server.getsockname()[1])],
                                  stdout=subprocess.PIPE) as client:
                server.sendto(b"\x1b[2J\x9b2J\xc2\x9b2J noon", server.recvfrom(100)[1])
                self.assertEqual(client.stdout.read(), b"?[2J?2J?2J noon\n")

    def test_no_server(self):
        result = run(program("13_time_client"), "1")  # nobody has the port that tcpmux had
        self.assertEqual((result.returncode, result.stdout), (1, ""))
        self.assertIn("127.0.0.1:1: Connection refused", result.stderr)

    def test_no_answer(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
            silent.bind(("127.0.0.1", 0))
            result = run(program("13_time_client"), str(silent.getsockname()[1]), "%H")
            self.assertEqual((result.returncode, result.stdout, result.stderr), (1, "", "no answer to three questions\n"))
            self.assertEqual([silent.recv(100, socket.MSG_DONTWAIT) for _ in range(3)], [b"%H"] * 3)
            self.assertRaises(BlockingIOError, silent.recv, 100, socket.MSG_DONTWAIT)

    def test_bad_usage(self):
        for arguments in (["x"], ["9000", "%H", "more"]):
            self.assert_fails(2, run(program("13_time_client"), *arguments), "usage: 13_time_client [PORT [FORMAT]]")


if __name__ == "__main__":
    unittest.main()
