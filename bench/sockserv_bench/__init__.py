"""The parts of sockserv-bench; see ../README.md for the method."""
