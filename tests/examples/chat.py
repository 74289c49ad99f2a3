"""12, the chats: chat.py TEST_CLASS."""

import contextlib
import functools
import re
import selectors
import signal
import socket
import struct
import subprocess
import unittest

from case import Case
from server import PATIENCE, Server, eventually, program, run, time_limit

MIXINS = ("threading", "fiber")


class Member:
    """A client in the chat."""

    def __init__(self, server, nick=None, **options):
        self.socket = connect(server, **options)
        self.lines = self.socket.makefile("rb")
        self.greeting = self.line()
        if nick:
            self.say(f"/nick {nick}")
            assert self.line() == f"* you are {nick} in lobby"

    def say(self, text):
        self.socket.sendall(text.encode() + b"\n")

    def line(self):
        line = self.lines.readline()
        assert line.endswith(b"\n"), f"the connection has ended with {line!r}"
        return line[:-1].decode()

    def rest(self):
        """What is still to come until the server ends the connection."""
        return self.lines.read().decode().splitlines()

    def close(self):
        self.lines.close()
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def connect(server, receive_buffer=None):
    client = socket.socket()
    client.settimeout(PATIENCE)
    if receive_buffer:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    client.connect(server.address)
    return client


def under_every_mixin(test):
    """Calls the test with one server after the other."""
    @functools.wraps(test)
    def each(self):
        for mixin in MIXINS:
            with self.subTest(mixin), Server("12_chat_server", "--listen", "tcp://127.0.0.1:0", "--mixin", mixin) as server:
                test(self, server)
    return each


def at_once(client):
    """What is there for a client already."""
    client.setblocking(False)
    try:
        return client.recv(1 << 16)
    except BlockingIOError:
        return b""
    finally:
        client.settimeout(PATIENCE)


class Rooms(Case):

    @under_every_mixin
    def test_lines_go_to_the_others_in_the_room(self, server):
        with Member(server, "ann") as ann, Member(server) as bob:
            self.assertEqual(bob.greeting, "* you are guest-2 in lobby")
            self.assertEqual(ann.line(), "* guest-2 has come")
            bob.say("/nick bob")
            self.assertEqual(bob.line(), "* you are bob in lobby")
            self.assertEqual(ann.line(), "* guest-2 is bob now")
            ann.say("hello, wörld\r")
            self.assertEqual(bob.line(), "ann: hello, wörld")
            bob.say("")
            bob.say("hello, ann")
            self.assertEqual(ann.line(), "bob: hello, ann")
            bob.say("/who")
            self.assertEqual(bob.line(), "* in lobby: ann, bob")
        server.end(signal.SIGTERM)

    @under_every_mixin
    def test_joining_and_leaving(self, server):
        with Member(server, "ann") as ann, Member(server, "bob") as bob, Member(server, "cat") as cat:
            self.assertEqual([ann.line() for _ in range(4)], ["* guest-2 has come", "* guest-2 is bob now",
                                                              "* guest-3 has come", "* guest-3 is cat now"])
            self.assertEqual([bob.line() for _ in range(2)], ["* guest-3 has come", "* guest-3 is cat now"])
            bob.say("/join kitchen")
            self.assertEqual(bob.line(), "* you are bob in kitchen")
            self.assertEqual(cat.line(), "* bob has left")
            cat.say("/join kitchen")
            self.assertEqual(cat.line(), "* you are cat in kitchen")
            self.assertEqual([ann.line(), ann.line()], ["* bob has left", "* cat has left"])
            self.assertEqual(bob.line(), "* cat has come")
            ann.say("nobody hears this")
            bob.say("tea?")
            self.assertEqual(cat.line(), "bob: tea?")
            cat.say("/quit")
            self.assertEqual(cat.rest(), [])
            self.assertEqual(bob.line(), "* cat has left")
            bob.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            bob.close()  # by a reset
            ann.say("/join kitchen")
            self.assertEqual(ann.line(), "* you are ann in kitchen")

            def is_alone():
                ann.say("/who")
                while not (line := ann.line()).startswith("* in kitchen: "):
                    self.assertEqual(line, "* bob has left")
                return line == "* in kitchen: ann"
            eventually(is_alone)
        server.end(signal.SIGTERM)

    @under_every_mixin
    def test_names_are_unique_and_harmless(self, server):
        with Member(server, "ann") as ann, Member(server) as bob:
            self.assertEqual(ann.line(), "* guest-2 has come")
            for order, answer in (("/nick ann", "* ann is taken"), ("/nick", "* a name has up to 20 letters"),
                                  ("/nick a b", "* a name has"), ("/nick " + "x" * 21, "* a name has"),
                                  ("/nick \x1b[2J", "* a name has"), ("/join ..", "* a room's name has"),
                                  ("/join", "* a room's name has"), ("/help", "* there are /nick NAME, /join ROOM")):
                bob.say(order)
                self.assertTrue(bob.line().startswith(answer), order)
            bob.say("\x1b[2J\x07\0\x7f")
            self.assertEqual(ann.line(), "guest-2: ?[2J???")
            bob.say("\x9b2J\x85wörld 你好")  # C1
            self.assertEqual(ann.line(), "guest-2: ?2J?wörld 你好")
            bob.socket.sendall(b"\x9b2J\x80\x9f\n")  # the same set as bytes
            self.assertEqual(ann.line(), "guest-2: ?2J??")
            with Member(server) as third:
                self.assertEqual(third.greeting, "* you are guest-3 in lobby")
        server.end(signal.SIGTERM)

    @under_every_mixin
    def test_a_line_that_is_too_long_ends_the_conversation(self, server):
        with Member(server) as ann:
            ann.socket.sendall(b"x" * 4096)
            self.assertEqual(ann.rest(), ["* a line has no more than 4096 bytes"])
        server.end(signal.SIGTERM)

    @under_every_mixin
    def test_members_are_told_when_the_server_stops(self, server):
        with Member(server) as ann, Member(server) as bob:
            server.end(signal.SIGTERM)
            for member in (ann, bob):
                self.assertEqual(member.rest()[-1], "* the chat is closed")

    @under_every_mixin
    def test_the_client(self, server):
        with Member(server, "ann") as ann:
            command = [program("12_chat_client"), "--server", server.url]
            with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as client:
                self.assertEqual(client.stdout.readline(), "* you are guest-2 in lobby\n")
                client.stdin.write("hello\n")
                client.stdin.flush()
                self.assertEqual([ann.line(), ann.line()], ["* guest-2 has come", "guest-2: hello"])
                ann.say("\x1b[2J")
                self.assertEqual(client.stdout.readline(), "ann: ?[2J\n")
                client.stdin.close()
                self.assertEqual(ann.line(), "* guest-2 has left")
                self.assertEqual((client.stdout.read(), client.wait(PATIENCE)), ("", 0))
            ann.say("/quit")
            self.assertEqual(ann.rest(), [])  # when the connection has ended, she has left
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as client:
            self.assertEqual(client.stdout.readline(), "* you are guest-3 in lobby\n")
            server.end(signal.SIGTERM)  # while it waits for the keyboard
            self.assertEqual((client.stdout.read(), client.wait(PATIENCE)), ("* the chat is closed\n", 0))
        self.assert_fails(1, run(program("12_chat_client"), "--server", "tcp://127.0.0.1:1"), "127.0.0.1:1")
        self.assert_fails(2, run(program("12_chat_client"), "--server", "127.0.0.1:1"), "a URL looks like")


class Crowd(Case):
    members = 200
    text = 1000  # bytes in a line
    batch = 10  # lines that each speaker says at a time: all of them together have room in a queue

    @under_every_mixin
    def test_one_that_never_reads_holds_up_nobody(self, server):
        dropped = b"* deaf has been dropped, reading too slowly\n"
        with contextlib.ExitStack() as stack:
            deaf = stack.enter_context(Member(server, "deaf", receive_buffer=4096))
            clients = [stack.enter_context(connect(server)) for _ in range(self.members - 1)]
            speakers = clients[:3]
            hearers = Hearers(clients)
            stack.callback(hearers.close)
            hearers.listen_until(lambda: all(b"* you are" in heard for heard in hearers.heard))
            for number, client in enumerate(speakers):
                client.sendall(f"/nick speaker{number}\n".encode())
                hearers.listen_until(lambda: all(f"speaker{number} ".encode() in heard for heard in hearers.heard))

            said = 0
            while not all(dropped in heard for heard in hearers.heard):
                self.assertLess(said, 3000, "it is never dropped")
                for client in speakers:
                    client.sendall(b"".join(f"line {number} ".encode().ljust(self.text, b".") + b"\n"
                                            for number in range(said, said + self.batch)))
                said += self.batch
                hearers.listen_until(lambda: all(heard.count(b": line ") == said * (2 if number < 3 else 3)
                                                 for number, heard in enumerate(hearers.heard)))

            orders = [re.findall(rb"speaker(\d): line (\d+) \.+\n", heard) for heard in hearers.heard]
            for number, order in enumerate(orders):  # each line of each speaker but oneself, in its order
                for speaker in range(3):
                    lines = [int(line) for who, line in order if int(who) == speaker]
                    self.assertEqual(lines, [] if speaker == number else list(range(said)))
            for order in orders[3:]:
                self.assertEqual(order, orders[3])  # and all in the same order
        server.end(signal.SIGTERM)

    @under_every_mixin
    def test_a_dropped_member_that_reads_after_all_is_told_why(self, server):
        with Member(server, "slow", receive_buffer=4096) as slow, Member(server, "fast") as fast:
            heard = b""
            said = 0
            while b"* slow has been dropped" not in heard:
                self.assertLess(said, 20_000, "it is never dropped")
                fast.say(f"line {said} ".ljust(self.text, "."))
                said += 1
                heard += at_once(fast.socket)
            *lines, last = slow.rest()
            self.assertEqual(last, "* you have been dropped, since you read too slowly")
            numbers = [int(line.split()[2]) for line in lines if line.startswith("fast: line ")]
            self.assertEqual(numbers, list(range(len(numbers))))  # all that was said until then
            self.assertGreater(len(numbers), 65536 // self.text // 2)
        server.end(signal.SIGTERM)

    @under_every_mixin
    def test_members_come_and_go_while_others_talk(self, server):
        with contextlib.ExitStack() as stack:
            staying = [stack.enter_context(Member(server, f"m{number}")) for number in range(5)]
            heard = [[] for _ in staying]

            def listen_until(number, end):
                while not heard[number] or end not in heard[number][-1]:
                    heard[number].append(staying[number].line())
            for visit in range(40):
                with Member(server) as guest:
                    guest.say(f"hello {visit}")
                    for member in staying:
                        member.say(f"talk {visit}")
                    listen_until(0, f": hello {visit}")
                    if visit % 2:  # half of them break off
                        guest.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            for number, member in enumerate(staying):
                member.say("/who")
                listen_until(number, "* in lobby: ")  # so what it said before has been heard
            for number, member in enumerate(staying):
                member.say("/join end")
                listen_until(number, f"* you are m{number} in end")
                talk = [line for line in heard[number] if ": " in line]
                for visit in range(40):
                    self.assertEqual(sum(line.endswith(f": hello {visit}") for line in talk), 1)
                for other in range(len(staying)):
                    lines = [line for line in talk if line.startswith(f"m{other}: ")]
                    talked = [f"m{other}: talk {visit}" for visit in range(40)]
                    self.assertEqual(lines, [] if other == number else talked)
        server.end(signal.SIGTERM)


class Hearers:
    """Clients that read all the time, and what each has heard."""

    def __init__(self, clients):
        self.selector = selectors.DefaultSelector()
        self.heard = [bytearray() for _ in clients]
        for number, client in enumerate(clients):
            self.selector.register(client, selectors.EVENT_READ, self.heard[number])

    def listen_until(self, condition):
        with time_limit():
            while not condition():
                for key, _ in self.selector.select(0.1):
                    piece = key.fileobj.recv(1 << 18)
                    assert piece, "the server has closed a connection"
                    key.data.extend(piece)

    def close(self):
        self.selector.close()


class UDP(Case):

    def serve(self, *arguments):
        return Server("12_udp_chat_server", "--listen", "udp://127.0.0.1:0", *arguments)

    def say(self, client, text):
        """Says something, and returns how the others hear it."""
        client.send(text)
        return b"127.0.0.1:%d: " % client.getsockname()[1] + text

    def test_who_has_spoken_hears_the_others(self):
        with self.serve() as server, server.client() as ann, server.client() as bob, server.client() as cat:
            ann.send(b"nobody hears this")
            bob.send(b"")
            said = self.say(bob, b"hello")
            self.assertEqual(ann.recv(1000), said)
            cat.send(b"")
            said = self.say(ann, b"hello, bob\x1b[2J")
            for client in (bob, cat):
                self.assertEqual(client.recv(1000), said.replace(b"\x1b", b"?"))
            said = self.say(cat, b"\xff" * 100)
            for client in (ann, bob):
                self.assertEqual(client.recv(1000), said)
            for client in (ann, bob, cat):  # nothing comes twice, or back
                self.assertEqual(at_once(client), b"")
            server.end(signal.SIGTERM)

    def test_who_has_long_been_silent_is_forgotten(self):
        with self.serve("--lately", "1") as server, \
                server.client() as ann, server.client() as bob, server.client() as silent:
            for client in (silent, bob, ann):
                client.send(b"")

            def forgotten():
                bob.send(b"")
                said = self.say(ann, b"tick")
                self.assertEqual(bob.recv(1000), said)  # the packets to all of a chat are sent in one go
                bob.send(b"")
                said = self.say(ann, b"tock")
                self.assertEqual(bob.recv(1000), said)
                heard = 0
                while at_once(silent):
                    heard += 1
                return heard == 0
            eventually(forgotten)
            silent.send(b"")
            silent.send(b"here again")
            self.assertTrue(bob.recv(1000).endswith(b"here again"))
            said = self.say(ann, b"welcome")
            self.assertEqual(silent.recv(1000), said)
            server.end(signal.SIGTERM)

    def test_there_is_room_for_so_many(self):
        with self.serve() as server, contextlib.ExitStack() as stack:
            clients = [stack.enter_context(server.client()) for _ in range(101)]
            for client in clients[:2]:
                client.send(b"")
            for before, client in zip(clients[1:], clients[2:100]):
                said = self.say(client, b"I")
                self.assertEqual(before.recv(1000), said)  # one after the other, so that none is lost
            clients[100].send(b"and I")
            self.assertEqual(clients[100].recv(1000), b"* too many are speaking; try again later")
            said = self.say(clients[98], b"still here")
            self.assertEqual(clients[99].recv(1000), said)
            server.end(signal.SIGTERM)

    def test_control_characters_are_not_relayed(self):
        with self.serve() as server, server.client() as ann, server.client() as bob:
            ann.send(b"")
            said = self.say(bob, b"\x9b2J\xc2\x9b2J\x85 w\xc3\xb6rld \xa0\xff")
            self.assertEqual(ann.recv(1000), said.replace(b"\xc2\x9b", b"?").replace(b"\x9b", b"?").replace(b"\x85", b"?"))
            server.end(signal.SIGTERM)

    def test_what_a_relay_says_is_not_relayed_and_counts_for_nothing(self):
        relayed = (b"127.0.0.1:9000: hello", b"[::1]:9000: hello", b"[fe80::1%eth0]:9000: 127.0.0.1:1: hello", b"1.2.3.4:5: ",
                   b"* too many are speaking; try again later", b"* anything", b"[FE80::1]:9000: HELLO",
                   b"datagram 1 here, 40 bytes from 127.0.0.1:9000: * too many are speaking; try again later")
        said_by_people = (b"10:30: lunch", b"at 127.0.0.1:9000: nothing", b"*shrug*", b": ", b"127.0.0.1", b"[x]:1: y", b":1: z")
        with self.serve() as server, server.client() as ann, server.client() as relay:
            ann.send(b"")
            for text in relayed:
                relay.send(text)
            ann.send(b"nobody hears this")
            self.assertEqual(at_once(relay), b"")
            for text in said_by_people:
                self.assertEqual((text, self.say(relay, text)), (text, ann.recv(1000)))
            server.end(signal.SIGTERM)

    def test_one_that_has_gone_is_no_trouble(self):
        with self.serve() as server, server.client() as ann, server.client() as bob:
            with server.client() as gone:
                gone.send(b"")
            ann.send(b"")
            for _ in range(10):
                said = self.say(bob, b"hello")
                self.assertEqual(ann.recv(1000), said)
            server.end(signal.SIGTERM)

    def test_the_client(self):
        with self.serve() as server, server.client() as ann:
            ann.send(b"")
            command = [program("12_chat_client"), "--server", server.url]
            with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as client:
                client.stdin.write("hello\n")
                client.stdin.flush()
                self.assertTrue(ann.recv(1000).endswith(b": hello"))
                said = self.say(ann, b"hello yourself")
                self.assertEqual(client.stdout.readline(), said.decode() + "\n")
                client.stdin.close()
                self.assertEqual(client.wait(PATIENCE), 0)
            server.end(signal.SIGTERM)

    def test_the_client_keeps_telling_that_it_listens_whatever_it_hears(self):
        with (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server,
              socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger):
            server.bind(("127.0.0.1", 0))
            for speaker in (server, stranger):
                with self.subTest(stranger=speaker is stranger):
                    server.settimeout(PATIENCE)
                    url = "udp://127.0.0.1:%d" % server.getsockname()[1]
                    command = [program("12_chat_client"), "--server", url, "--keep-alive", "1"]
                    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as client:
                        packet, address = server.recvfrom(100)
                        self.assertEqual(packet, b"")  # by which it comes in
                        server.settimeout(0.05)

                        def has_told():
                            speaker.sendto(b"heard", address)  # at least twenty times a second
                            with contextlib.suppress(TimeoutError):
                                self.assertEqual(server.recv(100), b"")
                                return True
                        for _ in range(2):
                            eventually(has_told)
                        client.stdin.close()
                        heard = client.stdout.read().splitlines()
                        self.assertEqual(set(heard), {b"heard"} if speaker is server else set())
                        self.assertEqual(client.wait(PATIENCE), 0)


if __name__ == "__main__":
    unittest.main()
