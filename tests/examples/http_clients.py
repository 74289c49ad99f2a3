"""The clients that people use, against http_server: http_clients.py curl|wget|ab|wrk|chromium. Status 77: there is no
such program here."""

import base64
import collections
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile

from server import PATIENCE, Server, run

MIXINS = ("threading", "forking", "fiber")
IMAGES = 50
# One pixel.
PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5E"
                       "rkJggg==")


class Place:
    """A folder to serve, and one for what a client brings home."""

    def __init__(self, folder):
        self.root, self.home, self.log = folder / "root", folder / "home", folder / "log"
        (self.root / "sub").mkdir(parents=True)
        self.home.mkdir()
        self.large = random.Random(1).randbytes(3 << 20)
        (self.root / "large").write_bytes(self.large)
        (self.root / "a.txt").write_bytes(b"0123456789")
        (self.root / "sub" / "b & c.txt").write_bytes(b"b and c")

    def serve(self, mixin):
        return Server("http_server", "--listen", "tcp://127.0.0.1:0", "--mixin", mixin, "--directory", str(self.root),
                      "--access-log", str(self.log), "--demo", "--keep-alive", "1")

    def lines(self):
        return self.log.read_text().splitlines()


def url_of(server, path):
    return "http://%s:%d%s" % (*server.address, path)


def good(*command, **settings):
    result = run(*command, **settings)
    assert result.returncode == 0, f"{command}: status {result.returncode}: {result.stderr}"
    return result.stdout


def curl(server, place):
    def ask(path, *options, **settings):
        return good("curl", "--silent", "--show-error", *options, url_of(server, path), **settings)

    large = place.home / "large"
    ask("/large", "--output", str(large))
    assert large.read_bytes() == place.large
    large.write_bytes(place.large[:1_000_000])
    ask("/large", "--output", str(large), "--continue-at", "-")
    assert large.read_bytes() == place.large
    assert ask("/a.txt", "--range", "2-4") == "234"
    assert ask("/a.txt", "--time-cond", str(place.root / "a.txt"), "--write-out", "%{http_code}") == "304"
    assert "content-length: 10\n" in ask("/a.txt", "--head").lower()
    assert ask("/sub", "--location").startswith("<!DOCTYPE html>")
    assert ask("/echo", "--data-binary", "@" + str(place.root / "a.txt")) == "0123456789"
    body = place.home / "body"
    body.write_bytes(b"x" * (1 << 20))
    for options in (["--header", "Expect: 100-continue"], ["--header", "Transfer-Encoding: chunked"]):
        assert ask("/echo", "--data-binary", f"@{body}", *options) == "x" * (1 << 20)
    assert ask("/a.txt", "--upload-file", str(body), "--output", "/dev/null", "--write-out", "%{http_code}") == "405"
    assert ask("/../secret", "--path-as-is", "--output", "/dev/null", "--write-out", "%{http_code}") == "400"
    both = ask("/a.txt", url_of(server, "/hello"), "--write-out", "%{num_connects}")
    assert both == "Hello, World!101234567890", both  # one connection for both


def wget(server, place):
    (place.home / "large").write_bytes(place.large[:1_000_000])
    good("wget", "--quiet", "--continue", url_of(server, "/large"), cwd=place.home)
    assert (place.home / "large").read_bytes() == place.large
    # All of it, by the listings' links.
    good("wget", "--quiet", "--recursive", "--no-host-directories", url_of(server, "/"), cwd=place.home)
    for path in ("a.txt", "large", "sub/b & c.txt"):
        assert (place.home / path).read_bytes() == (place.root / path).read_bytes(), path
    (place.home / "a.txt").write_bytes(b"old")
    os.utime(place.home / "a.txt", (0, 0))
    good("wget", "--quiet", "--timestamping", url_of(server, "/a.txt"), cwd=place.home)
    assert (place.home / "a.txt").read_bytes() == b"0123456789"


def ab(server, _):
    for path, keep_alive in (("/hello", True), ("/a.txt", True), ("/large", True), ("/hello", False)):
        requests = 50 if path == "/large" else 1000
        report = good("ab", "-q", *(["-k"] if keep_alive else []), "-n", str(requests), "-c", "8", url_of(server, path))

        def figure(name):
            found = re.search(rf"^{name}: +(\d+)", report, re.MULTILINE)
            return int(found.group(1)) if found else 0

        assert figure("Complete requests") == requests, report
        assert figure("Failed requests") == figure("Non-2xx responses") == 0, report
        assert figure("Keep-Alive requests") == (requests if keep_alive else 0), report


def wrk(server, _):
    for path in ("/hello", "/large"):
        report = good("wrk", "-t1", "-c16", "-d1s", url_of(server, path))
        assert int(re.search(r"(\d+) requests in", report).group(1)) > 0, report
        assert "Non-2xx" not in report and "Socket errors" not in report, report


def chromium(server, place):
    """A page with images, whose script counts those that were loaded and shown."""
    for i in range(IMAGES):
        (place.root / f"{i}.png").write_bytes(PNG)
    (place.root / "index.html").write_text(
        "<!DOCTYPE html><title>images</title>" + "".join(f'<img src="{i}.png">' for i in range(IMAGES)) +
        "<script>onload = () => { document.title = 'shown: ' + [...document.images].filter("
        "image => image.complete && image.naturalWidth == 1).length }</script>")
    profile = place.home / "profile"
    page = subprocess.run(
        [shutil.which("chromium"), "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         f"--user-data-dir={profile}", "--virtual-time-budget=10000", "--dump-dom", url_of(server, "/")],
        capture_output=True, text=True, timeout=3 * PATIENCE, check=True).stdout
    shutil.rmtree(profile, ignore_errors=True)  # the next one is to ask for everything anew
    assert f"<title>shown: {IMAGES}</title>" in page, page
    answers = collections.Counter(re.findall(r'"GET /(\d+)\.png HTTP/1\.1" (\d+) ', place.log.read_text()))
    assert answers == {(str(i), "200"): 1 for i in range(IMAGES)}, answers


CLIENTS = {client.__name__: client for client in (curl, wget, ab, wrk, chromium)}


def main():
    name = sys.argv[1]
    if not shutil.which(name):
        print(f"skipped: there is no {name} here")
        return 77
    for mixin in MIXINS:
        with tempfile.TemporaryDirectory(prefix="sockserv-http.", ignore_cleanup_errors=True) as folder:
            place = Place(pathlib.Path(folder))
            with place.serve(mixin) as server:
                CLIENTS[name](server, place)
                server.end(signal.SIGTERM)
    return 0


if __name__ == "__main__":
    sys.exit(main())
