"""One place reads a steady clock, so that time can be simulated: clock.py FOLDER, which is that of the project."""

import pathlib
import re
import sys
import tempfile
import unittest

ROOT = pathlib.Path(sys.argv.pop())
THE_CLOCK = "include/sockserv/detail/clock.hpp"
READS = re.compile(r"clock::now\b|\bclock_gettime\b")


def readers(root):
    """The files of the library that read a clock themselves, each with the line's number."""
    for folder in ("include", "src"):
        for file in sorted((root / folder).rglob("*.?pp")):
            for number, line in enumerate(file.read_text().splitlines(), 1):
                if READS.search(line):
                    yield f"{file.relative_to(root)}:{number}"


class OneClock(unittest.TestCase):

    def test_no_other_file_reads_a_clock(self):
        self.assertEqual([each.rpartition(":")[0] for each in readers(ROOT)], [THE_CLOCK],
                         f"call detail::now() of {THE_CLOCK} instead")

    def test_a_file_that_does_is_found(self):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            (root / "src" / "fiber").mkdir(parents=True)
            (root / "src" / "fiber" / "a.cpp").write_text("\nauto t = std::chrono::steady_clock::now();\n")
            (root / "src" / "b.hpp").write_text("using clock = steady_clock;\nauto t = clock::now();\nauto u = now();\n")
            self.assertEqual(list(readers(root)), ["src/b.hpp:2", "src/fiber/a.cpp:2"])


if __name__ == "__main__":
    unittest.main()
