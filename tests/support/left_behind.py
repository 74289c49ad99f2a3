#!/usr/bin/env python3
"""Checks that a whole run of the tests leaves nothing behind: left_behind.py before|after FOLDER.

Every test that serves has FOLDER as its TMPDIR. Before the run it is made; after it, no process may have it as its
TMPDIR any more, and nothing may be in it.
"""

import pathlib
import sys
import time

PATIENCE = 30  # seconds: another run from the same build may still be at work


def processes_of(folder):
    mark = b"TMPDIR=" + str(folder).encode()
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if mark in (process / "environ").read_bytes().split(b"\0"):
                yield "process " + process.name + ": " + (process / "cmdline").read_text().replace("\0", " ")
        except OSError:
            pass  # it has ended meanwhile, or is another user's


def left_behind(folder):
    return list(processes_of(folder)) + ["file " + str(path) for path in folder.rglob("*")]


moment, folder = sys.argv[1], pathlib.Path(sys.argv[2])
if moment == "before":
    folder.mkdir(exist_ok=True)
else:
    deadline = time.monotonic() + PATIENCE
    while (left := left_behind(folder)) and time.monotonic() < deadline:
        time.sleep(0.1)
    for each in left:
        print("left behind:", each)
    if left:
        sys.exit(1)
    folder.rmdir()
