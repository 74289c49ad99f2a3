"""The examples that come before the library: by_hand.py TEST_CLASS."""

import fcntl
import os
import re
import signal
import socket
import struct
import subprocess
import threading
import unittest

from case import IO_MODELS, Case, break_off, everything, one_at_a_time, port_of, receive
from server import PATIENCE, Server, eventually, program, run, scratch

SERVERS = ("01_tcp_server", "02_udp_server", "05_sticky_server", "05_framed_server",
           *(f"06_{model}_server" for model in IO_MODELS))
CLIENTS = ("01_tcp_client", "05_sticky_client", "05_framed_client")
PATH_SERVERS = ("03_unix_stream_server", "03_unix_datagram_server")
PATH_CLIENTS = ("03_unix_stream_client", "03_unix_datagram_client")
EXPERIMENTS = ("04_ports", "04_backlog", "04_reuse_address")


class Contract(Case):
    """What all of them promise."""

    def test_bad_usage_ends_with_2(self):
        for name in SERVERS + CLIENTS + ("02_udp_client",):
            for arguments in (["http"], ["65536"], ["-1"], [""], ["9000 "]):
                with self.subTest((name, arguments)):
                    self.assert_fails(2, run(program(name), *arguments), f"usage: {name} [PORT]")
        for name in SERVERS + CLIENTS:
            self.assert_fails(2, run(program(name), "0", "0"), f"usage: {name} [PORT]")
        for name in PATH_SERVERS + PATH_CLIENTS:
            for arguments in ([""], ["x" * 108], ["--path"], ["a", "b"]):
                with self.subTest((name, arguments)):
                    self.assert_fails(2, run(program(name), *arguments), f"usage: {name} [PATH]")
        for name in EXPERIMENTS:
            self.assert_fails(2, run(program(name), "9000"), f"usage: {name}")

    def test_help_is_no_error(self):
        for name in SERVERS + CLIENTS + PATH_SERVERS + PATH_CLIENTS + EXPERIMENTS + ("02_udp_client",):
            result = run(program(name), "--help")
            self.assertEqual((result.returncode, result.stderr), (0, ""))
            self.assertTrue(result.stdout.startswith(f"usage: {name} "))

    def test_both_signals_end_a_server_with_0(self):
        with scratch() as folder:
            for name in SERVERS + PATH_SERVERS:
                for number in (signal.SIGINT, signal.SIGTERM):
                    with self.subTest((name, number)), Server(name, where(name, folder)) as server:
                        server.end(number)

    def test_an_address_in_use_is_named(self):
        with scratch() as folder:
            for name in SERVERS + PATH_SERVERS:
                with self.subTest(name), Server(name, where(name, folder)) as server:
                    taken = server.path or str(server.address[1])
                    self.assert_fails(1, run(program(name), taken), name, "bind", taken, "Address already in use")
                    server.end(signal.SIGTERM)

    def test_a_client_without_a_server_says_so(self):
        # A port that is bound and not listened to is nobody else's meanwhile.
        with socket.socket() as bound, scratch() as folder:
            bound.bind(("127.0.0.1", 0))
            port = str(bound.getsockname()[1])
            for name in CLIENTS:
                self.assert_fails(1, run(program(name), port), "connect", port, "Connection refused")
            for name in PATH_CLIENTS:
                self.assert_fails(1, run(program(name), f"{folder}/none"), f"{folder}/none", "No such file")


class TCP(Case):

    def test_client_and_server(self):
        with Server("01_tcp_server", "0") as server:
            long = "x" * 100_000
            self.assertEqual(self.run_client("01_tcp_client", port_of(server), input=f"hello\n\nworld\n{long}\n"),
                             f"HELLO\n\nWORLD\n{long.upper()}\n")
            eventually(lambda: " has connected\n" in server.errors() and " has gone\n" in server.errors())
            server.end(signal.SIGTERM)

    def test_nc_and_python(self):
        with Server("01_tcp_server", "0") as server:
            self.assertEqual(run("nc", "-N", *map(str, server.address), input="from nc\n").stdout, "FROM NC\n")
            with server.client() as client:
                client.sendall(b"from Python")
                self.assertEqual(receive(client, 11), b"FROM PYTHON")
            server.end(signal.SIGTERM)

    def test_one_client_at_a_time(self):
        with Server("01_tcp_server", "0") as server:
            one_at_a_time(self, server, b"first", b"FIRST")
            server.end(signal.SIGTERM)

    def test_the_server_survives_a_client_that_breaks_off(self):
        with Server("01_tcp_server", "0") as server:
            for _ in range(3):
                break_off(server)
            self.assertEqual(self.run_client("01_tcp_client", port_of(server), input="still there\n"), "STILL THERE\n")
            server.end(signal.SIGTERM)

    def test_the_client_says_when_the_server_has_gone(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            def hang_up():
                connection, _ = listener.accept()
                with connection:
                    connection.recv(100)
            server = threading.Thread(target=hang_up)
            server.start()
            result = run(program("01_tcp_client"), str(listener.getsockname()[1]), input="hello\n")
            server.join()
            self.assert_fails(1, result, "the server has closed the connection")


class UDP(Case):

    def test_many_to_one(self):
        with Server("02_udp_server", "0") as server, server.client() as first, server.client() as second:
            for number, client in enumerate((first, second, first), start=1):
                client.send(b"hi")
                self.assertEqual(client.recv(1000), b"datagram %d here, 2 bytes from 127.0.0.1:%d: hi"
                                 % (number, client.getsockname()[1]))
            server.end(signal.SIGTERM)

    def test_one_to_many(self):
        with Server("02_udp_server", "0") as first, Server("02_udp_server", "0") as second:
            lines = self.run_client("02_udp_client", port_of(first), port_of(second)).splitlines()
            senders = {line.split(" says: datagram 1 here, 5 bytes from 127.0.0.1:")[0] for line in lines}
            self.assertEqual(senders, {f"127.0.0.1:{port_of(first)}", f"127.0.0.1:{port_of(second)}"})
            for server in (first, second):
                server.end(signal.SIGTERM)

    def test_datagrams_keep_their_bounds(self):
        with Server("02_udp_server", "0") as server, server.client() as client:
            for packet in (b"one", b"two", b"", b"x" * 3000):
                client.send(packet)
            answers = [client.recv(2000) for _ in range(4)]
            self.assertEqual([answer.split(b"127.0.0.1")[0] for answer in answers],
                             [b"datagram %d here, %d bytes from " % pair for pair in ((1, 3), (2, 3), (3, 0), (4, 3000))])
            self.assertEqual(answers[3].count(b"x"), 1024)  # the rest did not fit, and is lost
            server.end(signal.SIGTERM)

    def test_the_client_takes_no_answer_of_a_stranger(self):
        with (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server,
              socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger):
            server.bind(("127.0.0.1", 0))
            server.settimeout(PATIENCE)
            port = server.getsockname()[1]
            with subprocess.Popen([program("02_udp_client"), str(port)], stdout=subprocess.PIPE) as client:
                _, address = server.recvfrom(100)
                stranger.sendto(b"stranger", address)
                server.sendto(b"hello \x1b\x9b\xc2\x9b", address)
                self.assertEqual(client.stdout.read(), b"127.0.0.1:%d says: hello ???\n" % port)
                self.assertEqual(client.wait(PATIENCE), 0)

    def test_nobody_answers(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
            silent.bind(("127.0.0.1", 0))
            self.assert_fails(1, run(program("02_udp_client"), str(silent.getsockname()[1])), "0 of 1 answers")

    def test_nc(self):
        with Server("02_udp_server", "0") as server:
            answer = run("nc", "-u", "-w1", *map(str, server.address), input="from nc").stdout
            self.assertRegex(answer, r"^datagram 1 here, 7 bytes from 127.0.0.1:\d+: from nc$")
            server.end(signal.SIGTERM)


class Unix(Case):

    def test_clients_and_servers(self):
        with scratch() as folder:
            for kind in ("stream", "datagram"):
                with self.subTest(kind), Server(f"03_unix_{kind}_server", f"{folder}/s") as server:
                    self.assertEqual(self.run_client(f"03_unix_{kind}_client", server.path), "hello\n")
                    server.end(signal.SIGTERM)

    def test_nc(self):
        with scratch() as folder:
            with Server("03_unix_stream_server", f"{folder}/s") as server:
                self.assertEqual(run("nc", "-NU", server.path, input="from nc\n").stdout, "from nc\n")
                server.end(signal.SIGTERM)
            with Server("03_unix_datagram_server", f"{folder}/s") as server:
                answer = run("nc", "-Uu", "-w1", "-s", f"{folder}/client", server.path, input="from nc\n").stdout
                os.unlink(f"{folder}/client")
                self.assertEqual(answer, "from nc\n")
                server.end(signal.SIGTERM)

    def test_the_stream_server_knows_who_its_clients_are(self):
        with scratch() as folder, Server("03_unix_stream_server", f"{folder}/s") as server, server.client():
            said = f"process {os.getpid()} of user {os.getuid()} has connected\n"
            eventually(lambda: server.errors() == said)
            server.end(signal.SIGTERM)

    def test_a_datagram_client_without_a_name_is_not_answered(self):
        with scratch() as folder, Server("03_unix_datagram_server", f"{folder}/s") as server:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as nameless:
                nameless.sendto(b"hello", server.path)
                eventually(lambda: server.errors() == "5 bytes from a client without a name\n")
            self.assertEqual(self.run_client("03_unix_datagram_client", server.path), "hello\n")
            server.end(signal.SIGTERM)

    def test_a_datagram_client_that_takes_no_answers_holds_nobody_up(self):
        with (scratch() as folder, Server("03_unix_datagram_server", f"{folder}/s") as server,
              socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as lazy):
            lazy.bind("")
            while "Resource temporarily unavailable" not in server.errors():  # its queue is full
                lazy.sendto(b"hello", server.path)
            self.assertEqual(self.run_client("03_unix_datagram_client", server.path), "hello\n")
            server.end(signal.SIGTERM)

    def test_a_path_that_was_left_behind_is_taken_over(self):
        with scratch() as folder:
            for name in PATH_SERVERS:
                with self.subTest(name):
                    with Server(name, f"{folder}/s") as killed:
                        killed.signal(signal.SIGKILL)
                        killed.process.wait()
                    self.assertTrue(os.path.exists(f"{folder}/s"))
                    with Server(name, f"{folder}/s") as server:
                        server.end(signal.SIGTERM)

    def test_a_path_is_in_use_before_its_server_listens(self):
        with scratch() as folder, socket.socket(socket.AF_UNIX) as bound:
            bound.bind(f"{folder}/s")
            for name in PATH_SERVERS:
                with self.subTest(name):
                    self.assert_fails(1, run(program(name), f"{folder}/s"), "bind", "Address already in use")
            os.unlink(f"{folder}/s")

    def test_two_servers_do_not_take_over_a_path_at_a_time(self):
        with scratch() as folder:
            with socket.socket(socket.AF_UNIX) as stale:
                stale.bind(f"{folder}/s")
            lock = os.open(folder, os.O_RDONLY)
            fcntl.flock(lock, fcntl.LOCK_EX)
            for name in PATH_SERVERS:
                with self.subTest(name):
                    self.assert_fails(1, run(program(name), f"{folder}/s"), "flock", folder)
            os.close(lock)
            os.unlink(f"{folder}/s")

    def test_a_file_that_is_no_socket_stays(self):
        with scratch() as folder:
            for name in PATH_SERVERS:
                with open(f"{folder}/s", "w") as file:
                    file.write("precious")
                self.assert_fails(1, run(program(name), file.name), "bind", file.name, "Address already in use")
                with open(file.name) as file:
                    self.assertEqual(file.read(), "precious")
                os.unlink(file.name)


class PortsAndBacklog(Case):

    def assert_prints(self, name, pattern):
        output = self.run_client(name)
        self.assertTrue(re.fullmatch(pattern, output), output)

    def test_ports(self):
        self.assert_prints("04_ports", r"""a listening socket has 127\.0\.0\.1:(\d+)
may another have it for TCP: Address already in use
may another have it for UDP: (yes|Address already in use)
may another have the port at 127\.0\.0\.2: (yes|Address already in use)
may another have the port at all addresses: Address already in use
first connection: 127\.0\.0\.1:(\d+) to 127\.0\.0\.1:\1
second connection: 127\.0\.0\.1:(\d+) to 127\.0\.0\.1:\1
""")  # "in use" where others of this machine have just these

    def test_backlog(self):
        self.assert_prints("04_backlog", r"""three clients have called connect, and nobody accept:
  2 wait to be accepted; the backlog is 1
  a client is ESTABLISHED
  a client is ESTABLISHED
  a client is SYN_SENT
one has been accepted, so there is room:
  1 wait to be accepted; the backlog is 1
  a client is ESTABLISHED
  a client is ESTABLISHED
  a client is SYN_SENT
the third has tried again, after \d+ ms:
  2 wait to be accepted; the backlog is 1
  a client is ESTABLISHED
  a client is ESTABLISHED
  a client is ESTABLISHED
""")

    def test_reuse_address(self):
        self.assert_prints("04_reuse_address", r"""A server without SO_REUSEADDR has ended; port \d+ is in TIME_WAIT\.
  the next server, without SO_REUSEADDR: Address already in use
  the next server, with SO_REUSEADDR: Address already in use
A server with SO_REUSEADDR has ended; port \d+ is in TIME_WAIT\.
  the next server, without SO_REUSEADDR: Address already in use
  the next server, with SO_REUSEADDR: listening
  one more beside it, with SO_REUSEADDR: Address already in use
""")


class StickyPackets(Case):
    sent = "sent:         3 messages, of 5, 5 and 2000 bytes\n"

    def test_without_frames_messages_stick_and_break(self):
        with Server("05_sticky_server", "0") as server:
            self.assertEqual(self.run_client("05_sticky_client", port_of(server)), self.sent +
                             "received:     2 messages\n"
                             "  1024 bytes: helloworldxx...\n"
                             "  986 bytes: xxxxxxxxxxxx...\n")
            server.end(signal.SIGTERM)

    def test_with_frames_they_arrive_as_they_were_sent(self):
        with Server("05_framed_server", "0") as server:
            self.assertEqual(self.run_client("05_framed_client", port_of(server)), self.sent +
                             "received:     3 messages\n"
                             "  5 bytes: hello\n"
                             "  5 bytes: world\n"
                             "  2000 bytes: xxxxxxxxxxxx...\n")
            self.assertEqual(server.errors(), "")
            server.end(signal.SIGTERM)

    def test_frames_are_those_of_pythons_struct(self):
        for bytes, answer, complaint in (
            (frame(b"one") + frame(b"") + frame(b"two"),
             b"received:     3 messages\n  3 bytes: one\n  0 bytes: \n  3 bytes: two\n", ""),
            (frame(b"x" * 2**20), b"received:     1 messages\n  1048576 bytes: xxxxxxxxxxxx...\n", ""),
            (b"", b"received:     0 messages\n", ""),
            (frame(b"one") + struct.pack("!I", 2**20 + 1), b"received:     1 messages\n  3 bytes: one\n",
             "a client announces 1048577 bytes; the limit is 1 MiB\n"),
            (frame(b"one") + frame(b"two")[:-1], b"received:     1 messages\n  3 bytes: one\n",
             "a client has gone within a message\n"),
            (frame(b"one") + b"\0\0", b"received:     1 messages\n  3 bytes: one\n",
             "a client has gone within a message\n"),
        ):
            with self.subTest(bytes[:20]), Server("05_framed_server", "0") as server, server.client() as client:
                client.sendall(bytes)
                client.shutdown(socket.SHUT_WR)
                self.assertEqual(everything(client), answer)
                self.assertEqual(server.errors(), complaint)
                server.end(signal.SIGTERM)


def where(name, folder):
    return f"{folder}/s" if name in PATH_SERVERS else "0"


def frame(message):
    return struct.pack("!I", len(message)) + message


if __name__ == "__main__":
    unittest.main()
