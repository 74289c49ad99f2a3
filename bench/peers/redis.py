"""Redis itself, on a free port, without persistence."""

from foreign import HOST, find, free_port, serve

port = free_port()
options = {"--bind": HOST, "--port": str(port), "--save": "", "--appendonly": "no"}
serve([find("redis-server"), *(word for option in options.items() for word in option)], port)
