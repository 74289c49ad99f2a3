"""Clients that share no code with sockserv talk to echo_server: clients.py python|nc SCHEME MIXIN."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading

from server import PATIENCE, Server, run, scratch, time_limit

CLIENTS = 16


def main():
    client, scheme, mixin = sys.argv[1:]
    with scratch() as folder:
        for url in urls(scheme, folder, client):
            # These serve as many at the same time as they have threads or processes.
            workers = ["--workers", str(CLIENTS)] if mixin in ("preforking", "thread_pool") else []
            with Server("echo_server", "--listen", url, "--mixin", mixin, *workers) as server:
                with time_limit(2 * PATIENCE):
                    CONVERSATIONS[client, server.is_stream](server, mixin, folder)
                server.end(signal.SIGTERM)
                assert server.errors() == "", server.errors()


def urls(scheme, folder, client):
    if scheme in ("unix", "unixgram"):
        yield f"{scheme}://{folder}/server"
        if client == "python":  # nc knows no abstract names
            yield f"{scheme}://@sockserv-interop-{os.getpid()}"
    else:
        yield f"{scheme}://127.0.0.1:0"
        if has_ipv6_loopback():
            yield f"{scheme}://[::1]:0"


def has_ipv6_loopback():
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
        probe.bind(("::1", 0))
        return True
    return False


# Python's own sockets


def python_streams(server, mixin, _):
    with server.client() as client, client.makefile("rwb") as file:
        for line in (b"one\n", b"\n", b"nul \0 and \xff\r\n", b"x" * 60_000 + b"\n"):
            file.write(line)
            file.flush()
            assert file.readline() == line

    # All at once, with a last line that is none, and the end of it before the first answer is read.
    with server.client() as client:
        sent = b"one\ntwo\nthree"
        client.sendall(sent)
        client.shutdown(socket.SHUT_WR)
        assert everything(client) == sent

    with server.client():
        pass  # says nothing at all

    if mixin == "none":
        at_once(lambda: one_line(server))
        return
    # Served at the same time: every client has its answer while all the others are still connected.
    with contextlib.ExitStack() as open_clients:
        files = []
        for _ in range(CLIENTS):
            client = open_clients.enter_context(server.client())
            files.append(open_clients.enter_context(client.makefile("rwb")))
        for file in files:
            file.write(b"here\n")
            file.flush()
        for file in files:
            assert file.readline() == b"here\n"


def python_datagrams(server, *_):
    with server.client() as client:
        for packet in (b"one", b"", b"two\nlines\n", bytes(range(256)), b"x" * 65_000):
            client.send(packet)
            assert client.recv(70_000) == packet
    at_once(lambda: one_packet(server))


def one_line(server):
    with server.client() as client:
        client.sendall(b"one of many\n")
        client.shutdown(socket.SHUT_WR)
        assert everything(client) == b"one of many\n"


def one_packet(server):
    with server.client() as client:
        client.send(b"one of many")
        assert client.recv(100) == b"one of many"


def everything(client):
    with client.makefile("rb") as file:
        return file.read()


def at_once(visit):
    """Has many clients come together."""
    answered = []
    visitors = [threading.Thread(target=lambda: (visit(), answered.append(True))) for _ in range(CLIENTS)]
    for visitor in visitors:
        visitor.start()
    for visitor in visitors:
        visitor.join()
    assert len(answered) == CLIENTS, f"{len(answered)} of {CLIENTS} clients were answered"


# nc


def nc_streams(server, *_):
    where = ["-U", server.path] if server.path else [server.address[0], str(server.address[1])]
    with netcat("-N", *where) as nc:
        one_by_one(nc)
    result = run("nc", "-N", *where, input="at once\nand no more\n")
    assert (result.stdout, result.returncode) == ("at once\nand no more\n", 0), result


def nc_datagrams(server, _, folder):
    own_path = f"{folder}/client"
    where = ["-U", "-s", own_path, server.path] if server.path else [server.address[0], str(server.address[1])]
    # No end of stream ends a conversation in packets: nc ends one that has been silent for a second.
    with netcat("-u", "-w1", *where) as nc:
        one_by_one(nc)
    if server.path:
        os.unlink(own_path)


@contextlib.contextmanager
def netcat(*arguments):
    """A running nc, which is expected to end well once its input has ended."""
    with subprocess.Popen(["nc", *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as nc:
        try:
            yield nc
            nc.stdin.close()
            assert nc.stdout.read() == b""
            assert nc.wait(PATIENCE) == 0, f"nc ended with exit code {nc.returncode}"
        except BaseException:
            nc.kill()
            raise


def one_by_one(nc):
    for line in (b"one\n", b"two\n", b"three\n"):
        nc.stdin.write(line)
        assert nc.stdout.readline() == line


def require_netcat():
    if not shutil.which("nc") or "OpenBSD netcat" not in run("nc", "-h").stderr:
        sys.exit("these tests need the nc of netcat-openbsd; tools/setup installs it")


CONVERSATIONS = {
    ("python", True): python_streams,
    ("python", False): python_datagrams,
    ("nc", True): nc_streams,
    ("nc", False): nc_datagrams,
}

if __name__ == "__main__":
    if sys.argv[1] == "nc":
        require_netcat()
    main()
