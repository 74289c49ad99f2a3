"""What the measuring scripts have in common: a server and its load as processes, each on cores of its own."""

import argparse
import contextlib
import ctypes
import json
import os
import pathlib
import resource
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

BENCH = pathlib.Path(__file__).resolve().parents[1]
TICKS = os.sysconf("SC_CLK_TCK")
BAD_USAGE = 2  # the exit status of our programs


class Failure(Exception):
    """Something could not be measured."""


class Absent(Failure):
    """There is no such program, or it does not know what it is asked for."""


def ours(mixin, *options, scheme="tcp", host="127.0.0.1"):
    """The command of our server."""
    return ("echo_server", "--listen", f"{scheme}://{host}:0", "--mixin", mixin, *options)


def prepare_process(cores):
    """What a new process does before its program starts: it goes to its cores, may open all the files that can be
    allowed, and dies with this script."""

    def prepare():
        PR_SET_PDEATHSIG = 1
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        if cores is not None:
            os.sched_setaffinity(0, cores)

    return prepare


class Server:
    """A running server, which leads a session: all its processes are those of the session."""

    def __init__(self, process, url):
        self.process = process
        self.url = url

    def processes(self):
        """For each process its directory in /proc, and the fields of its status that begin with the state."""
        for directory in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                fields = (directory / "stat").read_text().rpartition(")")[2].split()
                if int(fields[3]) == self.process.pid:
                    yield directory, fields

    def seconds_of_cpu(self):
        """What the processes, and those that have ended, have used so far."""
        return sum(cpu_of(directory, fields) for directory, fields in self.processes())

    def tasks(self):
        """The number of threads in all processes."""
        return sum(int(fields[17]) for _, fields in self.processes())

    def memory(self):
        """Bytes in user space that the processes do not have from a file. What some of them share counts once."""
        total = 0
        for directory, _ in self.processes():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                total += memory_of(directory)
        return total


def cpu_of(directory, fields):
    """Seconds that a process has used, and its children that have ended. The kernel rounds what a process has used down
    to ticks of 10 ms, which would leave little of many processes; what its threads have used is exact, but lacks those
    that have ended. So the greater of the two counts."""
    in_ticks = sum(map(int, fields[11:13])) / TICKS
    of_threads = 0
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for task in (directory / "task").iterdir():
            of_threads += int((task / "schedstat").read_text().split()[0]) / 1e9
    return max(in_ticks, of_threads) + sum(map(int, fields[13:15])) / TICKS


def memory_of(directory):
    """The same for one process."""
    lines = (directory / "smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith(("Pss_Anon:", "Pss_Shmem:"))) * 1024


@contextlib.contextmanager
def running(command, cores=None, end_limit=5):
    """A server, for as long as the block takes. Its processes end with the block."""
    complaints = tempfile.TemporaryFile("w+")
    try:
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=complaints,
            text=True,
            start_new_session=True,
            preexec_fn=prepare_process(cores),
        )
    except FileNotFoundError:
        raise Absent(f"there is no {command[0]}") from None
    except OSError as error:
        raise Failure(f"{command[0]}: {error.strerror}") from None
    name = pathlib.Path(command[0]).name
    try:
        if not select.select([process.stdout], [], [], 10)[0]:
            raise Failure(f"{name} has not said where it listens")
        announcement = process.stdout.readline()
        if not announcement.startswith("listening on "):
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(1)
            complaints.seek(0)
            complaint = complaints.readline().strip() or f"{name} said {announcement!r}, not where it listens"
            raise Absent(complaint) if process.returncode == BAD_USAGE else Failure(complaint)
        yield Server(process, announcement.removeprefix("listening on ").strip())
        if process.poll() is not None:
            raise Failure(f"{name} has ended with status {process.returncode}")
    finally:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.terminate()
            process.wait(end_limit)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        complaints.close()


class Laboratory:
    """Where the programs are, and on which cores they run: sets of numbers, by default the first core for the server
    and the last for the load."""

    def __init__(self, programs, server_cores=None, load_cores=None):
        self.programs = programs.resolve()
        cores = sorted(os.sched_getaffinity(0))
        self.server_cores = server_cores or {cores[0]}
        self.load_cores = load_cores or {cores[-1]}
        if not os.access(self.programs / "sockserv-load", os.X_OK):
            raise Failure(f"there is no sockserv-load in {programs}; build the benchmarks first")
        if len(cores) == 1:
            print("server and load share the only core; the figures mean little", file=sys.stderr)

    def command(self, program, *arguments):
        """The command that runs a program of ours, or else one in PATH; an absolute path stays what it is."""
        ours = self.programs / program
        return [str(ours) if ours.exists() else shutil.which(program) or str(ours), *arguments]

    def server(self, command):
        return running(self.command(*command), self.server_cores)

    def load(self, server, mode, *options, seconds, strict=True):
        """Puts a server under load; gives the figures that sockserv-load prints, and of the server how many cores it
        kept busy as "busy", and how many microseconds of processor time a request took as "cpu_us". Unless `strict`,
        also if some clients failed; "errors" and "stalled" say how many."""
        url = server.url.replace("//0.0.0.0:", "//127.0.0.1:")
        command = self.command("sockserv-load", mode, url, *options, f"--seconds={seconds}")
        output, busy, cpu = self.run_load(server, command, seconds, (0,) if strict else (0, 1))
        figures = json.loads(output)
        return figures | {"busy": busy, "cpu_us": cpu / max(figures["answers"], 1) * 1e6}

    def run_load(self, server, command, seconds, good=(0,)):
        """Runs a load that takes some seconds and is to end with a good status; gives what it prints, and of the server
        how many cores it kept busy and how many seconds of processor time it took."""
        cpu, begin = server.seconds_of_cpu(), time.monotonic()
        try:
            done = subprocess.run(
                command,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                timeout=seconds + 20,
                preexec_fn=prepare_process(self.load_cores),
            )
        except FileNotFoundError:
            raise Absent(f"there is no {command[0]}") from None
        except subprocess.TimeoutExpired:
            raise Failure(f"the load on {server.process.args[0]} did not end") from None
        cpu = max(server.seconds_of_cpu() - cpu, 1e-6)
        busy = cpu / (time.monotonic() - begin)
        if done.returncode not in good or not done.stdout:
            complaint = (done.stderr.strip() or done.stdout.strip()).rpartition("\n")[2]
            raise Failure(f"the load ended with status {done.returncode}: {complaint}")
        return done.stdout, busy, cpu


class IdleLoad:
    """A process of connections, each answered, which are then idle."""

    def __init__(self, laboratory, url, connections, source_offset=0, cores=None):
        command = laboratory.command(
            "sockserv-load",
            "idle",
            url,
            f"--clients={connections}",
            f"--source-offset={source_offset}",
            "--seconds=86400",
        )
        self.connections = connections
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=prepare_process(cores))
        try:
            self.connected = self._read("connected")
        except BaseException:
            self.kill()
            raise

    def _read(self, count):
        """The next line of figures. All connections must have been answered."""
        line = self.process.stdout.readline()
        figures = json.loads(line) if line else {}
        if figures.get(count) != self.connections:
            raise Failure(f"not all of {self.connections} connections were answered: {line.strip()}")
        return figures

    def memory(self):
        return memory_of(pathlib.Path("/proc") / str(self.process.pid))

    def ask_to_end(self):
        self.process.terminate()

    def end(self):
        """Has each connection answered again, and closes them."""
        self.ask_to_end()
        figures = self._read("alive")
        self.process.wait()
        return figures

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def argument_parser(description):
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--bin",
        type=pathlib.Path,
        default=BENCH.parent / "build" / "release" / "bin",
        help="where the programs are (default: build/release/bin)",
    )
    return parser


def run(main):
    """Runs a script's main() and exits with its status, and on a signal by way of every "finally"."""
    sys.stdout.reconfigure(line_buffering=True)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, frame: sys.exit(128 + number))
    try:
        sys.exit(main())
    except Failure as failure:
        print(f"{pathlib.Path(sys.argv[0]).name}: {failure}", file=sys.stderr)
        sys.exit(1)
