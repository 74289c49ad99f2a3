#include <sockserv/testing.hpp>  // first, to test that it is self-contained

#include <doctest/doctest.h>

#include <memory>
#include <stdexcept>

namespace {

using namespace sockserv;
using sockserv::testing::converse;

struct Reverse : StreamRequestHandler {
  Reverse() {
    // Settings that touch the socket have no effect here, and do no harm.
    timeout = std::chrono::seconds(1);
    disable_nagle_algorithm = true;
  }
  void handle() override {
    for (const std::string_view line : rfile) {
      wfile.write(std::string(line.rbegin(), line.rend()));
    }
  }
};

TEST_CASE("converse runs a handler without a socket, however its input is cut") {
  CHECK(converse<Reverse>("abc\ndef") == "\ncbafed");
  CHECK(converse<Reverse>("abc\ndef", {.piece_size = 1}) == "\ncbafed");
  CHECK(converse<Reverse>("").empty());
  CHECK_THROWS_AS(converse<Reverse>("", {.piece_size = 0}), std::invalid_argument);
}

struct Packets : DatagramRequestHandler {
  void handle() override {
    if (!packet.empty()) wfile.write(packet + " from " + client_address.host());
  }
};

TEST_CASE("for datagrams, converse returns the reply, or nothing") {
  CHECK(converse<Packets>("hello", {.client_address = {"192.0.2.1", 5}}) == "hello from 192.0.2.1");
  CHECK(converse<Packets>("") == std::nullopt);
}

/// Sends to others, and more than once to its client.
struct Forwards : DatagramRequestHandler {
  void handle() override {
    if (packet != "to nobody") socket.sendto("for others", {"192.0.2.1", 9});
    if (packet == "twice") socket.sendto("wait", client_address);
    if (packet != "unanswered") wfile.write("done");
  }
};

TEST_CASE("for datagrams, converse returns the reply to the client, whatever else the handler sent") {
  CHECK(converse<Forwards>("once") == "done");
  CHECK(converse<Forwards>("twice") == "done");
  CHECK(converse<Forwards>("to nobody") == "done");
  CHECK(converse<Forwards>("unanswered") == std::nullopt);
}

struct AnswersByHand : BaseRequestHandler<Datagram> {
  void handle() override {
    request.socket().sendto("for others", {"192.0.2.1", 9});
    request.socket().sendto("an answer", client_address);
  }
};

TEST_CASE("for a datagram handler without files, converse returns what was sent to the client") {
  CHECK(converse<AnswersByHand>("") == "an answer");
}

struct Thrower : StreamRequestHandler {
  void handle() override { throw std::runtime_error(std::string(*rfile.readline())); }
};

TEST_CASE("what escapes the handler escapes converse") {
  CHECK_THROWS_WITH_AS(converse<Thrower>("reason"), "reason", std::runtime_error);
}

struct Counting : StreamRequestHandler {
  explicit Counting(int& shared) : count(shared) {}
  void handle() override { wfile.write(std::to_string(++count)); }
  int& count;
};

TEST_CASE("converse with a server uses its factory") {
  int count = 0;
  TCPServer<Counting> server({"127.0.0.1", 0}, {.bind_and_activate = false});
  server.handler_factory = [&] { return std::make_unique<Counting>(count); };
  CHECK(converse(server, "") == "1");
  CHECK(converse(server, "") == "2");
}

}  // namespace
