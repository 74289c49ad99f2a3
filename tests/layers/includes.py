"""The #include lines of the library against the order of its layers: includes.py FOLDER, which is that of the project.

A file includes files of its own layer and of lower ones. Public headers (include/) include no private ones (src/). The
library includes no files of its components.
"""

import os
import pathlib
import re
import sys
import tempfile
import unittest

ROOT = pathlib.Path(sys.argv.pop())

# Lowest first. A folder of this name, in src/ or in include/sockserv/, holds files of this layer.
LAYERS = ["base", "socket", "transport", "connection", "server", "runner", "mixin", "layer", "run", "testing",
          "umbrella"]

# The layers of other folders and of files. A source has the name of its header, and so the layer of it.
PLACES = {
    "base": """
        error export fwd log options version detail/clock detail/counters detail/deadline detail/descriptor
        detail/input_buffer detail/once_a_second detail/processors detail/settings detail/shared_memory detail/text
        detail/idle detail/view_iterator detail/wait_limit""",
    "socket": "address detail/packet_info",
    "transport": """
        await detail/admission detail/contexts detail/fibers_settings detail/live_requests detail/request_scope
        detail/scheduler detail/task detail/transport detail/transport_wrapper""",
    "connection": "awaited_input client connection datagram files detail/client_limits detail/server_socket",
    "server": """
        handler this_request detail/listener detail/runner detail/server_class""",
    "runner": "detail/runners",
    "mixin": "servers detail/forking_server detail/threaded_requests",
    "run": "run",
    "testing": "testing",
    "umbrella": "sockserv",
}

# What is compiled into a library of its own, and so takes files of the library, which takes none of these.
COMPONENTS = {
    "auth": "layer/digest layer/handshake layer/hmac_auth layer/multiprocessing layer/mutual layer/simple",
}

PUBLIC = pathlib.PurePath("include")
PRIVATE = pathlib.PurePath("src")
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"\n]+)[>"]', re.MULTILINE)


def name_of(file):
    """What the tables call a file of the project: without its extension, and without the folders above the layers'."""
    parts = file.with_suffix("").parts[1:]
    return "/".join(parts[1:] if parts[0] == "sockserv" and len(parts) > 1 else parts)


def component_of(file):
    """The file's component; None if it belongs to the library itself."""
    return next((component for component, names in COMPONENTS.items() if name_of(file) in names.split()), None)


class Table:
    """Which layer a file belongs to."""

    def __init__(self, places):
        self.layers = {place: layer for layer, row in places.items() for place in row.split()}
        self.unused = set(self.layers)

    def layer_of(self, file):
        """The file's layer; None if the table does not say."""
        name = name_of(file)
        folder = name.split("/")[0]
        if "/" in name and folder in LAYERS:
            return folder
        for place in (name, folder + "/"):
            if place in self.layers:
                self.unused.discard(place)
                return self.layers[place]
        return None


def target_of(root, file, bracket, name):
    """The file of the project that is included, or None: it is not the project's."""
    folders = [PUBLIC, PRIVATE] if bracket == "<" else [file.parent, PRIVATE, PUBLIC]
    candidates = [pathlib.PurePath(os.path.normpath(folder / name)) for folder in folders]
    return next((candidate for candidate in candidates if (root / candidate).is_file()), None)


def problems(root, places):
    """Yields what is wrong with the includes of the project in the folder, a line each."""
    table = Table(places)
    for path in sorted([*root.glob("include/**/*.hpp"), *root.glob("src/**/*.[ch]pp")]):
        file = path.relative_to(root)
        layer = table.layer_of(file)
        if layer is None:
            yield f"{file}: its layer is not in the table of this test"
            continue
        for bracket, name in INCLUDE.findall(path.read_text()):
            target = target_of(root, file, bracket, name)
            if target is None:
                if bracket == '"' or name.startswith("sockserv/"):
                    yield f"{file}: includes {name}, which does not exist"
                continue
            if PUBLIC in file.parents and PRIVATE in target.parents:
                yield f"{file}: is public, but includes the private {target}"
            if component_of(target) not in (None, component_of(file)):
                yield f"{file}: includes {target}, which belongs to the component {component_of(target)}"
            below = table.layer_of(target)
            if below is None or LAYERS.index(below) <= LAYERS.index(layer):
                continue
            yield f"{file} -> {target}: runs back, from the layer {layer} to {below}"
    yield from (f"{place}: is in the table of this test, but does not exist" for place in sorted(table.unused))


class Includes(unittest.TestCase):
    maxDiff = None

    def test_keep_the_order_of_the_layers(self):
        self.assertEqual(list(problems(ROOT, PLACES)), [])


class TheseChecks(unittest.TestCase):
    """That they notice what they are for, each in a small project."""

    PLACES = {"base": "error", "transport": "fiber/"}

    def problems(self, files, places=PLACES):
        """What is wrong with a project whose files are given as path: includes."""
        files = {"include/sockserv/error.hpp": "<string>", "src/fiber/loop.hpp": "", **files}
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            for name, includes in files.items():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_text("#pragma once\n" + "".join(f"#include {name}\n" for name in includes.split()))
            return list(problems(root, places))

    def test_an_arrow_down_is_right(self):
        self.assertEqual(self.problems({
            "include/sockserv/server/tcp.hpp": "<sockserv/error.hpp> <vector>",
            "src/server/tcp.cpp": '<sockserv/server/tcp.hpp> "fiber/loop.hpp"',
            "src/fiber/loop.cpp": '"loop.hpp" <sockserv/error.hpp>',
        }), [])

    def test_an_arrow_back_is_found(self):
        files = {
            "include/sockserv/server/tcp.hpp": "",
            "src/error.cpp": '<sockserv/error.hpp> "fiber/loop.hpp"',
            "src/fiber/loop.cpp": '"loop.hpp" <sockserv/server/tcp.hpp>',
        }
        self.assertEqual(self.problems(files), [
            "src/error.cpp -> src/fiber/loop.hpp: runs back, from the layer base to transport",
            "src/fiber/loop.cpp -> include/sockserv/server/tcp.hpp: runs back, from the layer transport to server",
        ])

    def test_a_private_header_in_a_public_one_is_found(self):
        for include in ('"fiber/loop.hpp"', "<fiber/loop.hpp>", '"../../../src/fiber/loop.hpp"'):
            found = self.problems({"include/sockserv/server/tcp.hpp": include})
            self.assertEqual(len(found), 1, include)
            self.assertEqual(found[0],
                             "include/sockserv/server/tcp.hpp: is public, but includes the private src/fiber/loop.hpp")

    def test_a_component_in_the_library_is_found(self):
        self.assertEqual(self.problems({
            "include/sockserv/layer/hmac_auth.hpp": "<sockserv/error.hpp>",
            "src/layer/mutual.cpp": "<sockserv/layer/hmac_auth.hpp>",
            "src/layer/framing.cpp": "<sockserv/layer/hmac_auth.hpp>",
        }), ["src/layer/framing.cpp: includes include/sockserv/layer/hmac_auth.hpp, which belongs to the component auth"])

    def test_a_file_without_a_layer_is_found(self):
        self.assertEqual(self.problems({"src/detail/new.hpp": "", "include/sockserv/other.hpp": ""}), [
            "include/sockserv/other.hpp: its layer is not in the table of this test",
            "src/detail/new.hpp: its layer is not in the table of this test",
        ])

    def test_a_layer_without_a_file_is_found(self):
        self.assertEqual(self.problems({}, places={**self.PLACES, "mixin": "servers old/"}), [
            "old/: is in the table of this test, but does not exist",
            "servers: is in the table of this test, but does not exist",
        ])

    def test_an_include_of_nothing_is_found(self):
        self.assertEqual(self.problems({"src/error.cpp": '"moved.hpp" <sockserv/moved.hpp>'}), [
            "src/error.cpp: includes moved.hpp, which does not exist",
            "src/error.cpp: includes sockserv/moved.hpp, which does not exist",
        ])


if __name__ == "__main__":
    unittest.main()
