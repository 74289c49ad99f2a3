"""A server that may not have the port that it is to listen on."""

import ctypes
import os
import pathlib
import sys
import unittest

from server import Server, program, run

SKIPPED = 77
PORT = 283
FIRST_UNPRIVILEGED = int(pathlib.Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())
PR_CAPBSET_DROP, CAP_NET_BIND_SERVICE = 24, 10


def without_privilege():
    """For root, who keeps everything else; other users have no such capability."""
    ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_NET_BIND_SERVICE, 0, 0, 0)


class PrivilegedPort(unittest.TestCase):

    def test_is_refused_with_a_message_that_says_what_to_do(self):
        for scheme in ("tcp", "udp"):
            for host in ("127.0.0.1", "0.0.0.0"):
                with self.subTest(scheme=scheme, host=host):
                    result = run(program("echo_server"), "--listen", f"{scheme}://{host}:{PORT}",
                                 preexec_fn=without_privilege)
                    self.assertEqual((result.returncode, result.stdout), (1, ""), result.stderr)
                    self.assertRegex(result.stderr, rf"cannot bind to {host}:{PORT} \(.*CAP_NET_BIND_SERVICE\): "
                                                    r"Permission denied[^\n]*\n$")

    def test_other_ports_are_not(self):
        with Server("echo_server", "--listen", "tcp://127.0.0.1:0") as server:
            server.end(15)


if __name__ == "__main__":
    if FIRST_UNPRIVILEGED <= PORT:
        print(f"skipped: here every user may have port {PORT} (net.ipv4.ip_unprivileged_port_start)")
        sys.exit(SKIPPED)
    unittest.main()
