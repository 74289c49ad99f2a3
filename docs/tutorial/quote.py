#!/usr/bin/env python3
"""Puts the tested code of the examples into the tutorial: quote.py PAGE...

A comment in a page, `<!-- snippet: FILE NAME -->`, with FILE from the root of the repository, stands before a block of
code. The block becomes what FILE has between `// snippet: NAME` and `// snippet end`. tests/docs fails while a page and
its sources differ.
"""

import pathlib
import re
import sys
import textwrap

ROOT = pathlib.Path(__file__).resolve().parents[2]
QUOTE = re.compile(r"<!-- snippet: (\S+) (.+?) -->\n```cpp\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class UnknownSnippet(Exception):
    pass


def snippet(root, file, name):
    """The lines between the markers, without their common indentation."""
    path = root / file
    if not path.is_file():
        raise UnknownSnippet(f"there is no file {file}")
    found = re.search(rf"^ *// snippet: {re.escape(name)}\n(.*?)^ *// snippet end$", path.read_text(),
                      re.MULTILINE | re.DOTALL)
    if not found:
        raise UnknownSnippet(f"{file} has no snippet named '{name}'")
    return textwrap.dedent(found.group(1))


def with_quotes(text, root=ROOT):
    """The text of a page with its quotes as they are in the sources now."""
    def renewed(quote):
        file, name = quote[1], quote[2]
        return f"<!-- snippet: {file} {name} -->\n```cpp\n{snippet(root, file, name)}```"

    return QUOTE.sub(renewed, text)


if __name__ == "__main__":
    for page in map(pathlib.Path, sys.argv[1:]):
        try:
            page.write_text(with_quotes(page.read_text()))
        except UnknownSnippet as error:
            sys.exit(f"{page}: {error}")
