"""Puts a file of a GiB with 11_file_client and gets it back, under one mixin after the other, and checks its SHA-256.

    SOCKSERV_BIN=build/release/bin PYTHONPATH=tests/support python3 tests/examples/large_files.py [MIXIN...]

Not one of ctest's tests: it takes 3 GiB of disk (where TMPDIR says) and some ten seconds for each mixin.
"""

import hashlib
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time

from server import Server, program

GIB = 1 << 30
MIXINS = ("none", "threading", "forking", "preforking", "thread_pool", "fiber", "preforking_fiber")


def sha256(path):
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def client(url, *arguments):
    start = time.monotonic()
    subprocess.run([program("11_file_client"), "--server", url, *arguments], check=True)
    return time.monotonic() - start


with tempfile.TemporaryDirectory(prefix="sockserv-files.") as folder:
    files, mine = pathlib.Path(folder) / "server", pathlib.Path(folder) / "client"
    files.mkdir()
    mine.mkdir()
    original = pathlib.Path(folder) / "large"
    with original.open("wb") as file:
        for _ in range(GIB >> 20):
            file.write(random.randbytes(1 << 20))
    expected = sha256(original)
    for mixin in sys.argv[1:] or MIXINS:
        with Server("11_file_server", "--listen", "tcp://127.0.0.1:0", "--mixin", mixin, "--directory", files) as server:
            put = client(server.url, "put", original)
            get = client(server.url, "get", "large", "--directory", mine)
            server.end(signal.SIGTERM)
        for copy in (files / "large", mine / "large"):
            assert copy.stat().st_size == GIB and sha256(copy) == expected, f"{mixin}: {copy} is wrong"
            copy.unlink()
        print(f"{mixin}: put in {put:.1f} s, got in {get:.1f} s, SHA-256 {expected} at both ends", flush=True)
