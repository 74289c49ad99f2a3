#!/usr/bin/env python3
"""Draws the diagrams of the tutorial: each function below that is marked @diagram becomes FUNCTION.svg in this folder.

They have a background of their own, and follow the reader's choice of light or dark where the viewer passes it on.
"""

import pathlib
from xml.sax.saxutils import escape

STYLE = """
  text { font: 14px sans-serif; fill: #1f2328; }
  .code { font-family: monospace; }
  .small { font-size: 12px; }
  .head { font-weight: bold; }
  .muted { fill: #59636e; }
  .panel { fill: #f6f8fa; stroke: #d1d9e0; }
  .box { fill: #ffffff; stroke: #59636e; stroke-width: 1.3; }
  .first { fill: #ddf4ff; stroke: #0969da; stroke-width: 1.3; }
  .second { fill: #fff1e5; stroke: #bc4c00; stroke-width: 1.3; }
  .third { fill: #dafbe1; stroke: #1a7f37; stroke-width: 1.3; }
  .group { fill: none; stroke: #59636e; stroke-dasharray: 5 4; }
  .line { fill: none; stroke: #59636e; stroke-width: 1.5; }
  .faint { fill: none; stroke: #afb8c1; stroke-width: 1.5; stroke-dasharray: 3 4; }
  .tip { fill: #59636e; }
  .hollow { fill: #f6f8fa; stroke: #59636e; stroke-width: 1.3; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; }
    .muted { fill: #9198a1; }
    .panel { fill: #151b23; stroke: #3d444d; }
    .box { fill: #0d1117; stroke: #9198a1; }
    .first { fill: #0c2d6b; stroke: #4493f8; }
    .second { fill: #5a1e02; stroke: #db6d28; }
    .third { fill: #033a16; stroke: #3fb950; }
    .group, .line { stroke: #9198a1; }
    .faint { stroke: #656c76; }
    .tip { fill: #9198a1; }
    .hollow { fill: #151b23; stroke: #9198a1; }
  }
"""


class Drawing:
    """Shapes and words, in pixels from the upper left."""

    def __init__(self, width, height, description):
        self.parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
            f' role="img">',
            f"<title>{escape(description)}</title>",
            f"<style>{STYLE}</style>",
            '<defs>',
            '<marker id="arrow" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8"'
            ' orient="auto-start-reverse"><path class="tip" d="M0 0L10 5L0 10z"/></marker>',
            '<marker id="inherits" viewBox="0 0 12 12" refX="11" refY="6" markerWidth="12" markerHeight="12"'
            ' orient="auto"><path class="hollow" d="M1 1L11 6L1 11z"/></marker>',
            '</defs>',
            f'<rect class="panel" x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="8"/>',
        ]

    def rectangle(self, x, y, width, height, style="box"):
        self.parts.append(f'<rect class="{style}" x="{x}" y="{y}" width="{width}" height="{height}" rx="4"/>')

    def text(self, x, y, words, style="", anchor="middle"):
        self.parts.append(f'<text class="{style}" x="{x}" y="{y}" text-anchor="{anchor}">{escape(words)}</text>')

    def box(self, x, y, width, height, lines, style="box", text_style=""):
        """A rectangle with lines of text in its middle."""
        self.rectangle(x, y, width, height, style)
        lines = [lines] if isinstance(lines, str) else lines
        for number, line in enumerate(lines):
            self.text(x + width / 2, y + height / 2 + 5 + 18 * (number - (len(lines) - 1) / 2), line, text_style)

    def line(self, *points, style="line", end=""):
        """Through points (x, y); `end` is the marker at the last of them: arrow, inherits or none."""
        path = "M" + "L".join(f"{x} {y}" for x, y in points)
        marker = f' marker-end="url(#{end})"' if end else ""
        self.parts.append(f'<path class="{style}" d="{path}"{marker}/>')

    def arrow(self, *points):
        self.line(*points, end="arrow")

    def svg(self):
        return "\n".join([*self.parts, "</svg>", ""])


DIAGRAMS = {}


def diagram(draw):
    DIAGRAMS[draw.__name__ + ".svg"] = draw
    return draw


@diagram
def layers():
    drawing = Drawing(780, 388, "What each layer adds to a message on its way from one program to another")
    drawing.text(105, 28, "client's machine", "head")
    drawing.text(675, 28, "server's machine", "head")
    rows = (
        ("application (7, 6, 5)", "the program", ["hello"]),
        ("transport (4)", "TCP: which port", ["TCP", "hello"]),
        ("network (3)", "IP: which machine", ["IP", "TCP", "hello"]),
        ("data link (2)", "Ethernet: which card", ["Ethernet", "IP", "TCP", "hello"]),
        ("physical (1)", "cable or radio", ["1 0 1 1 0 0 1 0 …"]),
    )
    styles = {"hello": "third", "TCP": "first", "IP": "second"}
    for number, (name, purpose, parts) in enumerate(rows):
        y = 44 + 66 * number
        for x in (20, 590):
            drawing.rectangle(x, y, 170, 50)
            drawing.text(x + 85, y + 21, name, "head")
            drawing.text(x + 85, y + 40, purpose, "small muted")
            if number:
                points = [(x + 85, y - 16), (x + 85, y - 2)]
                drawing.arrow(*(points if x == 20 else [(px, 2 * y - 18 - py) for px, py in points]))
        width = 85 if len(parts) > 1 or number == 0 else 340
        right = 560
        for place, part in enumerate(reversed(parts)):
            drawing.box(right - width * (place + 1), y + 8, width, 34, part, styles.get(part, "box"), "code")
    drawing.text(390, 380, "On the way down each layer puts its header in front; on the way up each takes its own off.",
                 "small muted")
    return drawing


@diagram
def tcp_calls():
    drawing = Drawing(720, 470, "The calls of a TCP server and of a TCP client, and which of them meet")
    drawing.text(180, 28, "server", "head")
    drawing.text(540, 28, "client", "head")
    server = ("socket()", "bind()", "listen()", "accept()", "recv()", "send()", "recv() returns 0", "close()")
    rows = {name: 42 + 52 * number for number, name in enumerate(server)}
    purposes = ("a socket", "its address", "clients come", "", "", "", "", "")
    for name, purpose in zip(server, purposes):
        drawing.box(110, rows[name], 140, 34, name, "first", "code")
        drawing.text(102, rows[name] + 22, purpose, "small muted", "end")
    drawing.text(102, rows["accept()"] + 15, "the next client:", "small muted", "end")
    drawing.text(102, rows["accept()"] + 31, "its own socket", "small muted", "end")
    client = {"socket()": rows["listen()"], "connect()": rows["accept()"], "send()": rows["recv()"],
              "recv()": rows["send()"], "close()": rows["recv() returns 0"]}
    for name, y in client.items():
        drawing.box(470, y, 140, 34, name, "second", "code")
    for x, column in ((180, list(rows.values())), (540, list(client.values()))):
        for above, below in zip(column, column[1:]):
            drawing.arrow((x, above + 34), (x, below - 1))
    for name, words in (("accept()", "three-way handshake"), ("recv()", "question"), ("recv() returns 0", "end")):
        y = rows[name] + 17
        drawing.arrow((468, y), (252, y))
        drawing.text(360, y - 6, words, "small muted")
    drawing.arrow((252, rows["send()"] + 17), (468, rows["send()"] + 17))
    drawing.text(360, rows["send()"] + 11, "answer", "small muted")
    y = rows["send()"] + 17
    drawing.arrow((250, y + 8), (280, y + 8), (280, y - 44), (252, y - 44))
    y = rows["close()"] + 17
    drawing.arrow((250, y), (310, y), (310, rows["accept()"] + 27), (252, rows["accept()"] + 27))
    drawing.text(318, y + 4, "and to the next client", "small muted", "start")
    return drawing


def ladder(description, height, client_events, server_events, messages):
    """Two lifelines with what happens at each, (y, words, style), and messages between, (y, from client?, words)."""
    drawing = Drawing(780, height, description)
    left, right = 260, 520
    for x, words in ((left, "client"), (right, "server")):
        drawing.text(x, 28, words, "head")
        drawing.line((x, 40), (x, height - 16))
    for events, x, anchor in ((client_events, left - 14, "end"), (server_events, right + 14, "start")):
        for y, words, style in events:
            drawing.text(x, y + 5, words, style, anchor)
    for y, from_client, words in messages:
        start, end = (left, right) if from_client else (right, left)
        drawing.arrow((start, y), (end, y + 26))
        drawing.text((left + right) / 2, y + 4, words, "code small")
    return drawing


@diagram
def handshake():
    return ladder(
        "The three-way handshake", 290,
        [(62, "connect() begins", "code"), (80, "SYN_SENT", "muted small"), (156, "connect() returns", "code"),
         (174, "ESTABLISHED", "muted small")],
        [(48, "listen() has been called", "code"), (66, "LISTEN", "muted small"),
         (102, "SYN_RECV: half-open", "muted small"), (200, "ESTABLISHED", "muted small"), (218, "in the queue of the listening socket", "muted small"),
         (250, "accept() returns it", "code")],
        [(70, True, "SYN, seq x"), (122, False, "SYN, seq y, ACK x+1"), (170, True, "ACK y+1")])


@diagram
def close():
    return ladder(
        "How a connection is closed: each direction by itself", 430,
        [(58, "close() or shutdown(SHUT_WR)", "code"), (78, "FIN_WAIT1", "muted small"),
         (154, "FIN_WAIT2: may still receive", "muted small"), (222, "recv() returns the rest", "code"),
         (298, "recv() returns 0", "code"), (322, "TIME_WAIT, for 60 seconds", "muted small"),
         (400, "CLOSED", "muted small")],
        [(94, "recv() returns 0", "code"), (114, "CLOSE_WAIT: may still send", "muted small"),
         (182, "send() the rest", "code"), (252, "close()", "code"), (274, "LAST_ACK", "muted small"),
         (354, "CLOSED", "muted small")],
        [(64, True, "FIN"), (120, False, "ACK"), (190, False, "data"), (264, False, "FIN"), (320, True, "ACK")])


@diagram
def buffers():
    drawing = Drawing(780, 318, "The way of bytes from one program to another through the buffers of the kernels")
    for x, name in ((20, "sending program"), (570, "receiving program")):
        drawing.box(x, 46, 190, 54, ["std::string bytes" if x == 20 else "char buffer[1024]"], "third", "code")
        drawing.text(x + 95, 32, name, "head")
    drawing.line((20, 136), (760, 136), style="faint")
    drawing.text(390, 128, "user space: each program's own memory", "small muted")
    drawing.text(390, 154, "kernel: the system's memory, on each machine", "small muted")
    drawing.box(20, 178, 190, 54, ["send buffer", "Send-Q of ss"], "first")
    drawing.box(570, 178, 190, 54, ["receive buffer", "Recv-Q of ss"], "second")
    drawing.arrow((115, 100), (115, 176))
    drawing.text(125, 118, "send() copies", "small", "start")
    drawing.arrow((665, 178), (665, 102))
    drawing.text(655, 118, "recv() copies", "small", "end")
    drawing.arrow((210, 196), (568, 196))
    drawing.text(390, 188, "segments, with numbers", "small")
    drawing.arrow((570, 220), (212, 220))
    drawing.text(390, 240, "ACK: what has come; window: room left", "small")
    drawing.text(115, 256, "full: send() waits", "small muted")
    drawing.text(115, 274, "emptied by ACKs, not by sending", "small muted")
    drawing.text(665, 256, "empty: recv() waits", "small muted")
    drawing.text(665, 274, "full: window 0, the sender stops", "small muted")
    drawing.text(390, 304, "A send() that has returned says that this kernel has the bytes, not that anybody got them.",
                 "small")
    return drawing


@diagram
def datagrams():
    drawing = Drawing(780, 220, "UDP: many clients to one socket, one socket to many servers")
    drawing.text(195, 28, "many to one", "head")
    drawing.text(585, 28, "one to many", "head")
    drawing.line((390, 16), (390, 204), style="faint")
    for number in range(3):
        drawing.box(20, 46 + 54 * number, 110, 36, f"client :{40001 + number}", "second", "small code")
        drawing.line((130, 64 + 54 * number), (248, 118), end="arrow")
    drawing.box(250, 94, 120, 48, ["one socket", ":9000"], "first", "small code")
    drawing.text(310, 162, "recvfrom() says who", "small muted")
    drawing.box(410, 94, 120, 48, ["one socket", ":60072"], "second", "small code")
    drawing.text(470, 162, "sendto() says whom", "small muted")
    for number in range(2):
        y = 64 + 108 * number
        drawing.box(650, y - 18, 110, 36, f"server :{9000 + number}", "first", "small code")
        drawing.arrow((530, 118), (648, y))
    return drawing


@diagram
def backlog():
    drawing = Drawing(780, 234, "The two queues of a listening socket")
    drawing.text(80, 110, "SYN", "code")
    drawing.arrow((30, 120), (148, 120))
    drawing.rectangle(150, 60, 210, 120, "group")
    drawing.text(255, 50, "half-open: SYN_RECV", "head")
    drawing.box(170, 82, 170, 30, "waits for the ACK", "second", "small")
    drawing.box(170, 126, 170, 30, "waits for the ACK", "second", "small")
    drawing.text(255, 200, "no more room: SYN cookies", "small muted")
    drawing.arrow((360, 120), (448, 120))
    drawing.text(404, 110, "ACK", "code")
    drawing.rectangle(450, 60, 190, 120, "group")
    drawing.text(545, 50, "complete: ESTABLISHED", "head")
    drawing.box(470, 82, 150, 30, "waits for accept()", "first", "small")
    drawing.box(470, 126, 150, 30, "waits for accept()", "first", "small")
    drawing.text(545, 200, "listen(backlog), somaxconn", "small code")
    drawing.arrow((640, 120), (756, 120))
    drawing.text(700, 110, "accept()", "code small")
    drawing.text(390, 224, "When the second is full, a new SYN is dropped; the client sends it again, first after a second.",
                 "small muted")
    return drawing


@diagram
def sticky():
    drawing = Drawing(780, 330, "Three messages in a stream of bytes, and how two receivers cut it")

    def row(y, name, parts):
        drawing.text(20, y + 22, name, "small", "start")
        x = 190
        for width, words, style in parts:
            drawing.box(x, y, width, 34, words, style, "small code")
            x += width + 4

    row(20, "three send()", [(80, "hello", "first"), (80, "world", "second"), (400, "x x x x … 2000 bytes", "third")])
    drawing.text(20, 92, "the stream:", "small", "start")
    drawing.text(20, 108, "no bounds", "small muted", "start")
    drawing.rectangle(190, 76, 568, 34)
    drawing.text(474, 98, "h e l l o w o r l d x x x x x x x x x x x x x x x x x x x x x x x x …", "small code")
    row(132, "recv(1024), wrong", [(290, "helloworldxx… 1024 bytes", "box"), (274, "xxxx… 986 bytes", "box")])
    drawing.line((20, 188), (760, 188), style="faint")
    frames = [(34, "5", "box"), (80, "hello", "first"), (34, "5", "box"), (80, "world", "second"), (48, "2000", "box"),
              (268, "x x x x … 2000 bytes", "third")]
    row(208, "send length, message", frames)
    row(264, "receive 4, then so many", frames)
    drawing.arrow((474, 244), (474, 262))
    drawing.arrow((474, 54), (474, 74))
    drawing.arrow((474, 110), (474, 130))
    return drawing


@diagram
def io_models():
    drawing = Drawing(780, 442, "The five I/O models: who waits for bytes, and who copies them")
    start, arrived, done = 180, 490, 640
    drawing.text((start + arrived) / 2, 28, "nothing has come yet", "head")
    drawing.text((arrived + done) / 2, 28, "copy to user space", "head")
    for x in (arrived, done):
        drawing.line((x, 40), (x, 400), style="faint")

    def row(number, name, before, copying, after):
        y = 48 + 70 * number
        drawing.text(20, y + 32, name, "head", "start")
        for x, width, words, style in before:
            drawing.box(x, y + 9, width, 36, words, style, "small")
        drawing.box(arrived + 6, y + 9, done - arrived - 12, 36, copying[0], copying[1], "small")
        drawing.text(done + 12, y + 32, after, "small", "start")

    wait = arrived - start - 6
    row(0, "blocking", [(start, wait, "recv() waits", "second")], ("recv() goes on", "second"), "recv() returns")
    row(1, "non-blocking", [(start + 62 * n, 54, "EAGAIN", "first") for n in range(5)], ("recv()", "second"),
        "recv() returns")
    row(2, "multiplexed", [(start, wait, "epoll_wait() waits, for all sockets", "second")], ("recv()", "second"),
        "recv() returns")
    row(3, "signal-driven", [(start, wait - 70, "the program does other things", "third"),
                             (arrived - 70, 64, "signal", "first")], ("recv()", "second"), "recv() returns")
    row(4, "asynchronous", [(start, wait, "the program does other things", "third")], ("the system copies", "third"),
        "a function is called")
    x = 130
    for style, words, width in (("second", "in a call, waiting or copying", 220), ("first", "told something", 130),
                                ("third", "free", 100)):
        drawing.rectangle(x, 412, 16, 16, style)
        drawing.text(x + 24, 425, words, "small muted", "start")
        x += width + 30
    return drawing


@diagram
def authentication():
    return ladder(
        "How client and server prove to each other that they know the key", 330,
        [(112, "is there a nonce? takes one, too", "small"), (132, "proof: HMAC(key, client S C)", "muted small"),
         (232, "is the server's proof right?", "small"), (252, "only now says what it wants", "muted small")],
        [(48, "a connection", "small"), (66, "takes a nonce: random, never again", "muted small"),
         (166, "is the client's proof right?", "small"), (186, "if not: closes, and says no more", "muted small"),
         (206, "if so, proof: HMAC(key, server S C)", "muted small"), (226, "only now is there a handler", "muted small")],
        [(62, False, "greeting, nonce S"), (128, True, "nonce C, proof"), (200, False, "proof"), (266, True, "hello")])


@diagram
def keeper():
    drawing = Drawing(780, 262, "A client, the server, the keeper of its command, and the command's process group")
    drawing.box(20, 90, 110, 54, "client", "second")
    drawing.box(230, 90, 130, 54, ["server", "handler"], "first")
    drawing.box(450, 90, 110, 54, "keeper", "box", "head")
    drawing.rectangle(620, 50, 140, 134, "group")
    drawing.text(690, 40, "process group", "small")
    drawing.box(640, 66, 100, 40, "command", "third")
    drawing.box(640, 128, 100, 40, ["what it has", "started"], "third", "small")
    drawing.line((690, 106), (690, 127), end="arrow")
    drawing.arrow((132, 104), (228, 104))
    drawing.text(180, 96, "request", "small")
    drawing.arrow((228, 130), (132, 130))
    drawing.text(180, 150, "output, result", "small")
    drawing.arrow((362, 104), (448, 104))
    drawing.text(405, 96, "a socket", "small")
    drawing.arrow((448, 130), (362, 130))
    drawing.text(405, 150, "report", "small")
    drawing.arrow((562, 117), (618, 117))
    drawing.line((640, 76), (600, 76), (600, 20), (295, 20), (295, 88), end="arrow")
    drawing.text(450, 15, "two pipes: standard output and standard error", "small muted")
    drawing.text(390, 216, "Whoever ends, however that happens: the one to the right of it sees its connection end, and ends too.",
                 "small")
    drawing.text(390, 238, "The keeper waits until nothing is left: SIGTERM to the group, after a second SIGKILL to all that is there.",
                 "small muted")
    return drawing


@diagram
def file_transfer():
    return ladder(
        "Putting a file of which the server has a part already", 330,
        [(48, "hashes the file", "small"), (172, "hashes its first 161209656 bytes:", "small"),
         (190, "the same", "muted small")],
        [(102, "a part is there: hashes it", "small"), (232, "appends what comes to the part", "small"),
         (256, "has all: SHA-256 right?", "small"), (276, "to the disk; rename to video", "muted small")],
        [(58, True, "put, size, sha256"), (118, False, "have 161209656"),
         (184, True, "from 161209656"), (220, True, "238790344 bytes"), (286, False, "done")])


@diagram
def chat():
    drawing = Drawing(780, 300, "How a line goes from one member of a chat to the others")
    rows = (("ann", 40), ("bob", 120), ("cat, who does not read", 200))
    for name, y in rows:
        drawing.box(20, y, 120, 46, name.split(",")[0], "second")
        drawing.box(250, y, 120, 46, "handler", "first")
    drawing.text(80, 262, "who does not read", "small muted")
    drawing.arrow((142, 63), (248, 63))
    drawing.text(195, 55, "hello", "small code")
    drawing.box(470, 40, 170, 46, ["rooms and queues", "one lock"], "box", "small")
    drawing.arrow((372, 63), (468, 63))
    drawing.text(420, 55, "tell", "small code")
    drawing.arrow((490, 86), (490, 104), (80, 104), (80, 118))
    drawing.text(420, 98, "at once", "small muted")
    drawing.box(520, 190, 120, 66, ["queue of cat", "at most 64 KiB"], "third", "small")
    drawing.arrow((580, 88), (580, 188))
    drawing.text(590, 140, "what the socket does not take", "small muted", "start")
    drawing.line((540, 188), (540, 182), (80, 182), (80, 198), style="faint", end="arrow")
    drawing.text(450, 176, "the writer, later", "small muted")
    drawing.text(390, 288, "Each handler waits for its own client, and for nobody else.", "small muted")
    return drawing


def inherits(drawing, child, parent):
    drawing.line(child, parent, end="inherits")


@diagram
def servers():
    drawing = Drawing(780, 300, "The server classes")
    width, height = 190, 40
    drawing.box(30, 30, width, height, "BaseServer", "box", "code")
    drawing.box(30, 130, width, height, "TCPServer", "first", "code")
    drawing.box(30, 230, width, height, "UDPServer", "second", "code")
    drawing.box(330, 130, width, height, "UnixStreamServer", "first", "code")
    drawing.box(330, 230, width, height, "UnixDatagramServer", "second", "code")
    inherits(drawing, (125, 130), (125, 70))
    inherits(drawing, (125, 230), (125, 170))
    inherits(drawing, (330, 150), (220, 150))
    inherits(drawing, (330, 250), (220, 250))
    drawing.text(240, 47, "the loop and the hooks: get_request, verify_request,", "small muted", "start")
    drawing.text(240, 65, "process_request, finish_request, shutdown, server_close, …", "small muted", "start")
    drawing.text(540, 147, "connections:", "small muted", "start")
    drawing.text(540, 165, "a request is a socket", "small muted", "start")
    drawing.text(540, 247, "datagrams: a request is a", "small muted", "start")
    drawing.text(540, 265, "packet and the server's socket", "small muted", "start")
    return drawing


@diagram
def handlers():
    drawing = Drawing(780, 316, "The request handler classes")
    drawing.box(290, 26, 200, 58, ["BaseRequestHandler", "<Request>"], "box", "code")
    drawing.text(505, 46, "setup(), handle(), finish()", "small muted", "start")
    drawing.text(505, 64, "request, client_address, server", "small muted", "start")
    drawing.box(60, 140, 220, 40, "StreamRequestHandler", "first", "code")
    drawing.text(124, 200, "rfile, wfile: the connection as files", "small muted", "start")
    drawing.box(500, 140, 240, 40, "DatagramRequestHandler", "second", "code")
    drawing.text(620, 200, "packet in, wfile: packet out", "small muted")
    drawing.box(60, 236, 220, 40, "MessageRequestHandler", "first", "code")
    drawing.text(170, 296, "messages with their lengths", "small muted")
    inherits(drawing, (170, 140), (350, 84))
    inherits(drawing, (620, 140), (430, 84))
    inherits(drawing, (110, 236), (110, 180))
    drawing.box(330, 236, 200, 40, "Upper: yours", "third", "code")
    inherits(drawing, (430, 236), (281, 166))
    return drawing


@diagram
def mixins():
    drawing = Drawing(780, 250, "A mixin around a server around a handler")
    drawing.rectangle(20, 20, 460, 210, "first")
    drawing.text(36, 44, "ThreadingMixIn: who runs a request", "code", "start")
    drawing.rectangle(50, 60, 400, 150, "second")
    drawing.text(66, 84, "TCPServer: what a request is", "code", "start")
    drawing.box(80, 106, 340, 80, ["Upper: what is done for it", "handle()"], "third", "code")
    drawing.text(510, 60, "ThreadingMixIn<TCPServer<Upper>>", "code small", "start")
    drawing.text(510, 84, "Any mixin fits around any server,", "small", "start")
    drawing.text(510, 102, "any server around a handler", "small", "start")
    drawing.text(510, 120, "of its kind.", "small", "start")
    drawing.text(510, 152, "ThreadingMixIn overrides a hook,", "small", "start")
    drawing.text(510, 170, "process_request: instead of calling", "small", "start")
    drawing.text(510, 188, "the handler, it has a thread call it.", "small", "start")
    return drawing


if __name__ == "__main__":
    for name, draw in DIAGRAMS.items():
        (pathlib.Path(__file__).parent / name).write_text(draw().svg())
