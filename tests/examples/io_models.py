"""The five echo servers of examples/06_io_models: io_models.py MODEL."""

import os
import resource
import signal
import socket
import sys
import threading
import unittest

from case import Case, break_off, everything, one_at_a_time, port_of, receive
from server import Server, eventually, run

MODEL = sys.argv.pop()


class IOModel(Case):

    def setUp(self):
        self.server = Server(f"06_{MODEL}_server", "0")
        self.addCleanup(self.server.__exit__)

    def end(self):
        self.server.end(signal.SIGTERM)

    def test_foreign_clients(self):
        self.assertEqual(self.run_client("01_tcp_client", port_of(self.server), input="hello\nworld\n"), "hello\nworld\n")
        self.assertEqual(run("nc", "-N", *map(str, self.server.address), input="from nc\n").stdout, "from nc\n")
        self.end()

    def test_many_at_once(self):
        if MODEL == "blocking":
            one_at_a_time(self, self.server, b"first", b"first")
        else:
            self.echo_to_many(50)
        self.end()

    def test_more_than_buffers_hold(self):
        """The client takes nothing until the server has stopped reading; all comes back in the end."""
        sent = os.urandom(2**16) * 256
        with self.server.client() as client:
            client.settimeout(0.2)
            taken = 0
            try:
                while taken < len(sent):
                    taken += client.send(sent[taken:taken + 2**16])
            except TimeoutError:
                pass
            self.assertLess(taken, len(sent))  # the server holds back
            client.settimeout(None)
            rest = threading.Thread(target=lambda: (client.sendall(sent[taken:]), client.shutdown(socket.SHUT_WR)))
            rest.start()
            self.assertTrue(everything(client) == sent)
            rest.join()
        self.end()

    def test_the_server_survives_clients_that_break_off(self):
        for _ in range(20):
            break_off(self.server)
        self.assertEqual(self.run_client("01_tcp_client", port_of(self.server), input="still there\n"), "still there\n")
        self.end()

    def test_clients_that_have_gone_leave_no_descriptor(self):
        def descriptors():
            return len(os.listdir(f"/proc/{self.server.process.pid}/fd"))
        self.echo_to_many(1)  # which some libraries open descriptors for
        before = descriptors()
        for _ in range(10):
            self.echo_to_many(1)
        eventually(lambda: descriptors() <= before)
        self.end()

    @unittest.skipUnless(MODEL == "nonblocking", "of one model")
    def test_cost(self):
        line = r"^\d+ % of a processor, for \d+ rounds, of them \d+ in vain\n"
        eventually(lambda: "\n" in self.server.errors())
        self.assertRegex(self.server.errors(), line)
        self.end()

    @unittest.skipUnless(MODEL == "signal_driven", "of one model")
    def test_without_room_for_signals(self):
        """No real-time signal can be queued, so there is only SIGIO."""
        resource.prlimit(self.server.process.pid, resource.RLIMIT_SIGPENDING, (0, 0))
        self.echo_to_many(50)
        self.end()

    def echo_to_many(self, count):
        clients = [self.server.client() for _ in range(count)]
        for client in clients:
            client.sendall(b"all at once")
        for client in reversed(clients):
            self.assertEqual(receive(client, 11), b"all at once")
            client.close()


if __name__ == "__main__":
    unittest.main()
