"""The numbers on the command lines of the examples, at their ends: options.py TEST_CLASS."""

import os
import signal
import unittest

from case import Case
from server import Server, program, run, scratch

NO_NUMBERS = ("", "x", "-1", "1.5", "1s", "nan", "inf", "18446744073709551615", "18446744073709551616")

CONNECTIONS = "echo_server", ("--listen", "tcp://127.0.0.1:0")
OPTIONS = (  # program and what it needs besides, option, the smallest and the largest value
    (CONNECTIONS, "--wbufsize", 1, 10**9),
    (CONNECTIONS, "--max-connections", 1, 10**9),
    (CONNECTIONS, "--idle-timeout", 1, 10**9),
    (CONNECTIONS, "--request-timeout", 1, 10**9),
    (CONNECTIONS, "--min-receive-rate", 1, 10**9),
    (CONNECTIONS, "--drain", 0, 86_400),
    (CONNECTIONS, "--busy-poll", 0, 1000),
    *((("echo_server", ("--listen", "tcp://127.0.0.1:0", "--mixin", mixin)), "--workers", 1, most)
      for mixin, most in (("threading", 10**6), ("forking", 10**6), ("thread_pool", 10**6))),
    (("http_server", ()), "--keep-alive", 0, 86_400),
    (("http_server", ()), "--head-time", 1, 86_400),
    (("http_server", ()), "--transfer-time", 1, 86_400),
    (("http_server", ()), "--max-head", 64, 2**30),
    (("http_server", ()), "--max-target", 1, 2**30),
    (("http_server", ()), "--max-fields", 1, 2**30),
    (("http_server", ()), "--max-body", 0, 2**40),
    (("kv_server", ()), "--max-bulk", 1, 2**30),
    (("09_hmac_server", ()), "--handshake-limit", 1, 86_400),
    (("10_command_server", ()), "--time-limit", 1, 10**6),
    (("10_command_server", ()), "--output-limit", 1, 2**40),
    (("11_file_server", ()), "--max-size", 0, 2**62),
    (("12_udp_chat_server", ()), "--lately", 1, 86_400),
)
CLIENTS = (
    ("09_hmac_client", "hello"),
    ("10_command_client", "--", "true"),
    ("11_file_client", "get", "x"),
    ("12_chat_client",),
)


class OptionsCase(Case):

    @classmethod
    def setUpClass(cls):
        os.environ["SOCKSERV_KEY"] = "a key for all of them"


class Servers(OptionsCase):

    def start(self, name, arguments, folder):
        scheme = "udp" if name == "12_udp_chat_server" else "tcp"
        directory = ["--directory", folder] if name in ("http_server", "11_file_server") else []
        listen = [] if "--listen" in arguments else ["--listen", f"{scheme}://127.0.0.1:0"]
        return [name, *listen, *directory, *arguments]

    def test_a_number_that_makes_no_sense_is_refused_by_its_option(self):
        with scratch() as folder:
            for (name, arguments), option, least, most in OPTIONS:
                for value in (*NO_NUMBERS, str(least - 1), str(most + 1)):
                    with self.subTest((name, *arguments, option, value)):
                        command, *rest = self.start(name, (*arguments, option, value), folder)
                        self.assert_fails(2, run(program(command), *rest), option)

    def test_the_smallest_and_the_largest_number_are_served_with(self):
        with scratch() as folder:
            for (name, arguments), option, least, most in OPTIONS:
                for value in (least, most):
                    with (self.subTest((name, *arguments, option, value)),
                          Server(*self.start(name, (*arguments, option, str(value)), folder)) as server):
                        server.end(signal.SIGTERM)

    def test_what_starts_at_once_is_limited(self):
        for mixin in ("preforking", "preforking_fiber", "fiber"):
            for workers in ("0", "8193", "1000000"):
                with self.subTest((mixin, workers)):
                    self.assert_fails(2, run(program("echo_server"), "--mixin", mixin, "--workers", workers), "--workers")

    def test_each_process_needs_a_connection(self):
        for mixin in ("preforking", "preforking_fiber"):
            arguments = ["--listen", "tcp://127.0.0.1:0", "--mixin", mixin, "--workers", "2", "--max-connections"]
            with self.subTest(mixin):
                self.assert_fails(2, run(program("echo_server"), *arguments, "1"), "--max-connections", "2 processes")
                with Server("echo_server", *arguments, "2") as server:
                    server.end(signal.SIGTERM)


class Clients(OptionsCase):

    def test_a_server_that_cannot_be_is_bad_usage(self):
        for name, *arguments in CLIENTS:
            for url in ("", "x", "tcp://", "tcp://127.0.0.1", "tcp://127.0.0.1:", "tcp://127.0.0.1:0", "tcp://127.0.0.1:x",
                        "tcp://127.0.0.1:65536", "tcp://127.0.0.1:-1", "unix://", "unix://" + 108 * "x"):
                with self.subTest((name, url)):
                    self.assert_fails(2, run(program(name), "--server", url, *arguments), "--server")

    def test_port_0_is_bad_usage_of_a_client(self):
        for name in ("01_tcp_client", "02_udp_client", "05_sticky_client", "05_framed_client", "08_mixins_client",
                     "13_time_client"):
            for port in ("0", "65536", "-1", "", "x"):
                with self.subTest((name, port)):
                    self.assert_fails(2, run(program(name), port), f"usage: {name}")


if __name__ == "__main__":
    unittest.main()
