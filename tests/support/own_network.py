"""A network that a test program makes for itself, so that ports that are written into a program are free."""

import contextlib
import ctypes
import fcntl
import os
import socket
import struct

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
SIOCSIFFLAGS, IFF_UP = 0x8914, 1


def enter():
    """Moves this program, and all that it starts from now on, into a network that has a loopback interface and nothing
    more. Returns why that is not possible; empty if it was."""
    user = (os.getuid(), os.getgid())
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET) != 0 and libc.unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0:
        return f"the right to make a network namespace: {os.strerror(ctypes.get_errno())}"
    with contextlib.suppress(OSError):  # of the user namespace, where one was made
        for name, text in (("setgroups", "deny"), ("uid_map", f"{user[0]} {user[0]} 1"), ("gid_map", f"{user[1]} {user[1]} 1")):
            with open(f"/proc/self/{name}", "w") as file:
                file.write(text)
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP))
    return ""
