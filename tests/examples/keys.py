"""Keys, and files with them."""

import os
import tempfile

KEY, OTHER_KEY = b"the shared key\0\xff\n", b"another key"


def key_file(case, key):
    """The name of a file with the key, until the end of the test."""
    descriptor, name = tempfile.mkstemp(prefix="sockserv-key.")  # which only its user may read
    case.addCleanup(os.unlink, name)
    with open(descriptor, "wb") as file:
        file.write(key)
    return name
