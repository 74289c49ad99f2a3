"""Runs an example server, and holds it to what every one of them promises (see examples/README.md)."""

import contextlib
import ctypes
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

BIN = os.environ["SOCKSERV_BIN"]
PATIENCE = 30  # seconds: far more than anything here takes

# Programs that this one starts get the default action, even if it runs in the background of a script.
signal.signal(signal.SIGINT, signal.default_int_handler)

PR_SET_CHILD_SUBREAPER = 36
if ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
    raise OSError("prctl")  # what a server leaves behind becomes this program's child, and so does not go unnoticed


def program(name):
    return os.path.join(BIN, name)


def run(*command, input="", **settings):
    """Runs a command that ends by itself."""
    return subprocess.run(command, input=input, capture_output=True, text=True, timeout=PATIENCE, **settings)


def eventually(condition):
    """Waits until the condition holds."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


@contextlib.contextmanager
def time_limit(seconds=PATIENCE):
    """Ends what waits for a server that says nothing."""
    def give_up(*_):
        raise TimeoutError(f"nothing within {seconds} seconds")
    previous = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)


def is_empty(group):
    """True if no process of the group is left, be it as a zombie."""
    try:
        os.killpg(group, 0)
        return False
    except ProcessLookupError:
        return True


def members(group):
    """The names of the processes of a group by their ids."""
    found = {}
    for directory in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            name, _, fields = (directory / "stat").read_text().partition("(")[2].rpartition(")")
            if int(fields.split()[2]) == group:
                found[int(directory.name)] = name
    return found


def reap(group):
    """Collects the orphans of the group that have ended."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-group, os.WNOHANG)[0] != 0:
            pass


def sockets_of(pid):
    """The inodes of a process's sockets."""
    found = set()
    with contextlib.suppress(FileNotFoundError):
        for number in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(FileNotFoundError):
                target = os.readlink(f"/proc/{pid}/fd/{number}")
                if target.startswith("socket:["):
                    found.add(target[8:-1])
    return found


def port_of(pid, kind):
    """The port that a process listens on, or receives at; None if it does not yet."""
    inodes = sockets_of(pid)
    with open(f"/proc/net/{kind}") as table:
        for fields in map(str.split, list(table)[1:]):
            if fields[9] in inodes and fields[3] == ("0A" if kind == "tcp" else "07"):
                return int(fields[1].rpartition(":")[2], 16)
    return None


def address_of(process, place):
    """Where a server can be reached, once it can: its path, or its port, found without its first line."""
    if isinstance(place, str):
        def reachable():
            with socket.socket(socket.AF_UNIX) as client:
                try:
                    client.connect(place)
                    return True
                except OSError as error:
                    return isinstance(error, PermissionError) or error.errno == 91  # EPROTOTYPE: a datagram socket
        eventually(lambda: process.poll() is not None or reachable())
        return place
    kind = "tcp" if place == socket.SOCK_STREAM else "udp"
    eventually(lambda: process.poll() is not None or port_of(process.pid, kind))
    return "127.0.0.1", port_of(process.pid, kind)


def catches(pid, number):
    """True once a process has a handler for a signal."""
    with open(f"/proc/{pid}/status") as status:
        caught = next(line.split()[1] for line in status if line.startswith("SigCgt:"))
    return int(caught, 16) >> (number - 1) & 1 == 1


class Server:
    """A running server.

        with Server("echo_server", "--listen", "tcp://127.0.0.1:0") as server:
            ... talk to server.address ...
            server.end(signal.SIGTERM)
    """

    def __init__(self, name, *arguments, silent_at=None, **settings):
        """`silent_at` is the URL of a server that prints no line."""
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen([program(name), *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=self.log, text=True, start_new_session=True, **settings)
        try:
            line = self.wait_until_reachable(silent_at) if silent_at else self.first_line()
            announced = re.fullmatch(r"listening on ((tcp|udp|unix|unixgram)://(.+))\n", line)
            assert announced, f"the first line is {line!r}; standard error: {self.errors()!r}"
            self.url, self.scheme, where = announced.groups()
        except BaseException:
            self.__exit__()
            raise
        self.path = None
        if self.scheme in ("tcp", "udp"):
            host, _, port = where.rpartition(":")
            self.family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
            self.address = (host.strip("[]"), int(port))
        else:
            self.family = socket.AF_UNIX
            self.address = where
            if where.startswith("@"):
                self.address = "\0" + where[1:]
            else:
                self.path = where
        self.is_stream = self.scheme in ("tcp", "unix")

    def first_line(self):
        with time_limit():
            return self.process.stdout.readline()

    def wait_until_reachable(self, url):
        scheme, _, where = url.partition("://")
        place = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}.get(scheme, where)
        address_of(self.process, place)
        eventually(lambda: self.process.poll() is not None or catches(self.process.pid, signal.SIGTERM))
        assert self.process.poll() is None, f"it ended; standard error: {self.errors()!r}"
        return f"listening on {url}\n"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        """Leaves nothing behind, however the test went."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()
        self.log.close()
        reap(self.process.pid)

    def client(self):
        """A socket of the right kind, connected. That of a Unix datagram client is bound, so that replies reach it."""
        client = socket.socket(self.family, socket.SOCK_STREAM if self.is_stream else socket.SOCK_DGRAM)
        try:
            client.settimeout(PATIENCE)
            if self.scheme == "unixgram":
                client.bind("")  # Linux picks an abstract name
            client.connect(self.address)
        except BaseException:
            client.close()
            raise
        return client

    def refuses(self):
        """True once new connections are not accepted."""
        try:
            self.client().close()
            return False
        except OSError:
            return True

    def errors(self):
        """What the server has written to standard error, but for stalls, of which a loaded machine has its own."""
        # Not by seeking: the server writes where the file's position is.
        log = os.pread(self.log.fileno(), os.fstat(self.log.fileno()).st_size, 0).decode()
        return "".join(line for line in log.splitlines(keepends=True) if " has kept its thread for " not in line)

    def signal(self, number):
        self.process.send_signal(number)

    def end(self, number, code=0):
        """Sends a signal, and expects the server to end well."""
        self.signal(number)
        self.ends(code)

    def ends(self, code):
        """Expects the server to end with an exit code, having said no more and left nothing behind."""
        assert self.process.wait(PATIENCE) == code, f"exit code {self.process.returncode}: {self.errors()}"
        left = members(self.process.pid)
        # A sanitizer's own process, which looks up names for reports, also those that are suppressed.
        lookups = [process for process, name in left.items() if name == "llvm-symbolizer"]
        assert len(lookups) == len(left), f"the server has left {left} behind"
        if lookups:
            eventually(lambda: reap(self.process.pid) or is_empty(self.process.pid))
        assert not (self.path and os.path.lexists(self.path)), f"{self.path} is left"
        rest = self.process.stdout.read()
        assert rest == "", f"standard output has more than one line: {rest!r}"

    def is_cut_short(self, number):
        """Sends signals until one finds another before it and ends the server at once."""
        def ended():
            self.signal(number)
            return self.process.poll() is not None
        eventually(ended)
        assert self.process.returncode == 128 + number, f"exit code {self.process.returncode}: {self.errors()}"

        def all_gone():
            reap(self.process.pid)
            return is_empty(self.process.pid)
        eventually(all_gone)


@contextlib.contextmanager
def scratch():
    """A folder for the sockets of one test."""
    folder = tempfile.mkdtemp(prefix="sockserv-interop.")
    try:
        yield folder
        assert os.listdir(folder) == [], "files are left"
    finally:
        shutil.rmtree(folder)
