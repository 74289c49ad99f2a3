"""The documents against the sources: documents.py FOLDER, which is that of the project."""

import pathlib
import re
import sys
import tempfile
import unittest

ROOT = pathlib.Path(sys.argv.pop())
TUTORIAL = ROOT / "docs" / "tutorial"
sys.path.insert(0, str(TUTORIAL))

import draw
import quote

PAGES = sorted(TUTORIAL.glob("*.md"))
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/**/*.md")), *sorted(ROOT.glob("examples/**/README.md")),
             *sorted(ROOT.glob("bench/**/README.md"))]


def without_code(text):
    return re.sub(r"^```.*?^```$|`[^`\n]*`", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(text):
    """What the headings of a document can be linked by, as GitHub makes it: a number tells apart what is the same."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)
    made = []
    for heading in headings:
        anchor = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        before = sum(anchor == other for other, _ in made)
        made.append((anchor, f"{anchor}-{before}" if before else anchor))
    return {anchor for _, anchor in made}


def broken_links(document):
    text = document.read_text()
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(text)):
        if re.match(r"[a-z]+:", target):
            continue  # elsewhere in the world
        file, _, anchor = target.partition("#")
        path = document.parent / file if file else document
        if not path.exists():
            yield f"{target}: no such file"
        elif anchor and anchor not in anchors(path.read_text()):
            yield f"{target}: no such heading"


STRINGS = r'((?:"(?:[^"\\]|\\.)*"\s*)+)'


def text_of(strings):
    """What neighbouring string literals say together."""
    return "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', strings)).replace('\\"', '"')


def tests_in(folder):
    """Patterns of the names of all tests, as the sources give them: some builds leave some tests out."""
    for lists in sorted(folder.rglob("CMakeLists.txt")):
        text = re.sub("#.*", "", lists.read_text())
        for name in re.findall(r'(?:python_test\(|add_test\(NAME )"([^"]+)"', text):
            yield ".+".join(map(re.escape, re.split(r"\$\{\w+\}", name)))
        for program, files in re.findall(r"sockserv_test\((\w+)\s+([^)]+)\)", text):
            for file in files.split():
                if file.startswith("$"):
                    continue  # a part of an example, which has no tests
                for strings in re.findall(r"TEST_CASE(?:_TEMPLATE)?\(\s*" + STRINGS, (lists.parent / file).read_text()):
                    yield re.escape(f"{program}: {text_of(strings)}")


def unknown_tests(text, tests):
    """The tests that the tables of a document name, but that do not exist."""
    for name in re.findall(r"`(\w+: [^`]+)`", text):
        if not any(re.fullmatch(test, name) for test in tests):
            yield name


class Quotes(unittest.TestCase):

    def test_are_what_the_examples_say(self):
        for page in PAGES:
            with self.subTest(page.name):
                self.assertEqual(page.read_text(), quote.with_quotes(page.read_text()),
                                 f"run docs/tutorial/quote.py docs/tutorial/{page.name}")

    def test_are_all_the_code_there_is(self):
        for page in PAGES:
            with self.subTest(page.name):
                text = page.read_text()
                self.assertEqual(len(re.findall("^```cpp$", text, re.MULTILINE)), len(quote.QUOTE.findall(text)),
                                 "a block of code without a snippet's name before it")
                self.assertEqual(text.count("<!-- snippet:"), len(quote.QUOTE.findall(text)))

    def test_output_says_which_command_gave_it(self):
        for page in PAGES:
            blocks = re.findall(r"^```(.*)\n((?:.*\n)*?)```$", page.read_text(), re.MULTILINE)
            for language, block in blocks:
                with self.subTest(page.name, block=block):
                    self.assertIn(language, ("cpp", "console"))
                    if language == "console":
                        self.assertRegex(block, r"^[$#] ")


class Diagrams(unittest.TestCase):

    def test_are_what_draws_them(self):
        self.assertEqual({path.name for path in TUTORIAL.glob("*.svg")}, set(draw.DIAGRAMS))
        for name, function in draw.DIAGRAMS.items():
            with self.subTest(name):
                self.assertEqual((TUTORIAL / name).read_text(), function().svg(), "run docs/tutorial/draw.py")

    def test_are_all_shown(self):
        pages = "".join(page.read_text() for page in PAGES)
        for name in draw.DIAGRAMS:
            self.assertIn(f"]({name})", pages)


class Links(unittest.TestCase):

    def test_lead_somewhere(self):
        for document in DOCUMENTS:
            with self.subTest(document.relative_to(ROOT)):
                self.assertEqual(list(broken_links(document)), [])

    def test_the_contents_name_every_page(self):
        contents = (TUTORIAL / "README.md").read_text()
        for page in PAGES:
            if page.name != "README.md":
                self.assertIn(f"]({page.name})", contents)


class Reliability(unittest.TestCase):
    text = (ROOT / "docs" / "reliability.md").read_text()

    def test_names_tests_that_exist(self):
        self.assertEqual(list(unknown_tests(self.text, list(tests_in(ROOT / "tests")))), [])

    def test_names_a_test_for_each_fault(self):
        for row in re.findall(r"^\| [A-Z].*$", self.text, re.MULTILINE):
            cells = row.strip("| ").split(" | ")
            if len(cells) == 3:
                with self.subTest(cells[0]):
                    self.assertRegex(cells[2], r"^`\w+: [^`]+`(, `\w+: [^`]+`)*$")


class TheseChecks(unittest.TestCase):
    """That they notice what they are for."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        (self.root / "a.cpp").write_text("void f() {\n  // snippet: one\n  g();\n    h();\n  // snippet end\n}\n")

    def quoted(self, file, name, code):
        return quote.with_quotes(f"<!-- snippet: {file} {name} -->\n```cpp\n{code}```\n", self.root)

    def test_a_quote_is_renewed(self):
        self.assertEqual(self.quoted("a.cpp", "one", "old();\n"), self.quoted("a.cpp", "one", "g();\n  h();\n"))
        self.assertIn("\ng();\n  h();\n```", self.quoted("a.cpp", "one", ""))

    def test_an_unknown_snippet_is_an_error(self):
        with self.assertRaisesRegex(quote.UnknownSnippet, "a.cpp has no snippet named 'two'"):
            self.quoted("a.cpp", "two", "")
        with self.assertRaisesRegex(quote.UnknownSnippet, "there is no file b.cpp"):
            self.quoted("b.cpp", "one", "")

    def test_a_link_without_a_target_is_found(self):
        document = self.root / "document.md"
        document.write_text("# One thing: `x`\n[a](a.cpp) [b](#one-thing-x) [c](https://example.org) `[d](no)`\n"
                            "![e](no.svg) [f](#no) [g](a.md#no)\n")
        self.assertEqual(list(broken_links(document)),
                         ["no.svg: no such file", "#no: no such heading", "a.md#no: no such file"])

    def test_a_test_that_does_not_exist_is_found(self):
        (self.root / "CMakeLists.txt").write_text('python_test("some: ${x}, part" a.py)\nsockserv_test(unit\n  b.cpp)\n')
        (self.root / "b.cpp").write_text('TEST_CASE("one") {}\nTEST_CASE_TEMPLATE(\n    "two, "\n    "three", T, int) {}\n')
        names = "`unit: one`, `unit: two, three`, `some: y, part` `code` `unit: two` `some: y` `other: one`"
        self.assertEqual(list(unknown_tests(names, list(tests_in(self.root)))), ["unit: two", "some: y", "other: one"])


if __name__ == "__main__":
    unittest.main()
