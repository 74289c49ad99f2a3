"""The examples as documents: snippets.py FOLDER, which is that of the examples."""

import pathlib
import re
import sys
import unittest

FOLDER = pathlib.Path(sys.argv.pop())


class Snippets(unittest.TestCase):

    def test_each_has_a_name_of_its_own_and_an_end(self):
        for path in FOLDER.rglob("*.[ch]pp"):
            with self.subTest(path.relative_to(FOLDER)):
                names = re.findall(r"^ *// snippet:? (.+)$", path.read_text(), re.MULTILINE)
                self.assertEqual(names[1::2], ["end"] * (len(names) // 2))
                self.assertEqual(len(names[0::2]), len(names[1::2]))
                self.assertEqual(len(set(names[0::2])), len(names[0::2]))


class Guide(unittest.TestCase):

    def test_it_has_every_program(self):
        lists = "".join(path.read_text() for path in FOLDER.rglob("CMakeLists.txt"))
        programs = re.findall(r"^example\((\w+)", lists, re.MULTILINE)
        self.assertTrue(programs)
        guide = (FOLDER / "README.md").read_text()
        for program in programs:
            self.assertIn(program, guide)


if __name__ == "__main__":
    unittest.main()
