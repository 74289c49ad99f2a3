/// Connection::send_unless_input, under every mixin.

#include <doctest/doctest.h>
#include <sys/socket.h>

#include <sockserv/client.hpp>
#include <sockserv/testing.hpp>
#include <string>

#include "integration/acting.hpp"
#include "support/both_ends.hpp"
#include "support/support.hpp"

namespace {

using namespace acting;
using namespace support;
using boost::asio::buffer;

/// More than a connection's buffers take in both directions, however far they grow.
constexpr std::size_t beyond_buffers = std::size_t{16} << 20;

/// Sends back what comes, and reads on whenever the peer has no room for that.
void echo(InputFile& rfile, Connection& request) {
  std::string answers;
  std::size_t sent = 0;
  for (;;) {
    const std::string_view bytes = rfile.peek();
    if (bytes.empty()) break;
    answers += bytes;
    rfile.skip(bytes.size());
    while (sent < answers.size()) {
      const std::size_t count = request.send_unless_input(buffer(answers) + sent);
      if (count == 0) break;
      sent += count;
    }
  }
  request.sendall(std::string_view(answers).substr(sent));
}

TEST_CASE_TEMPLATE("send_unless_input: a client may send everything before it reads", Server, SERVERS_OF_ACTORS) {
  Acting<Server> server([](StreamRequestHandler& handler) { echo(handler.rfile, handler.request); });
  const ServerThread background(server);
  StreamClient client(server.server_address());
  const std::string all = pattern(beyond_buffers);
  client.send(all);
  client.shutdown_write();
  CHECK(client.read_all() == all);
}

TEST_CASE_TEMPLATE("send_unless_input: a client that neither sends nor takes anything is a timeout", Server,
                   SERVERS_OF_ACTORS) {
  const Shared<std::atomic<bool>> timed_out;
  Acting<Server> server([&](StreamRequestHandler& handler) {
    const std::string bytes = pattern(1 << 20);
    handler.request.settimeout(20ms);
    error_code error;
    while (!error) CHECK((handler.request.send_unless_input(buffer(bytes), error) > 0 || error));
    *timed_out = error == errc::timed_out;
  });
  const ServerThread background(server);
  const StreamClient client(server.server_address());
  CHECK(eventually([&] { return timed_out->load(); }));
}

TEST_CASE_TEMPLATE("send_unless_input: limits of the server's hold", Server, SERVERS_OF_ACTORS) {
  const Shared<std::atomic<bool>> aborted;
  Acting<Server> server(
      [&](StreamRequestHandler& handler) {
        const std::string bytes = pattern(1 << 20);
        error_code error;
        while (!error) handler.request.send_unless_input(buffer(bytes), error);
        *aborted = error == errc::idle_too_long;
      },
      quiet({.idle_timeout = 20ms}));
  const ServerThread background(server);
  const StreamClient client(server.server_address());
  CHECK(eventually([&] { return aborted->load(); }));
}

TEST_CASE("send_unless_input: on a fiber, a wait for room holds up no other fiber") {
  OneLoop server([](StreamRequestHandler& handler) {
    if (handler.rfile.readline() == "echo\n") return echo(handler.rfile, handler.request);
    handler.wfile.write("answer\n");
  });
  const ServerThread background(server);
  StreamClient deaf(server.server_address());
  deaf.send("echo\n" + pattern(beyond_buffers));
  StreamClient client(server.server_address());
  client.send("question\n");
  CHECK(client.read_all() == "answer\n");
}

TEST_CASE_TEMPLATE("send_unless_input: a connection that a handler makes behaves in the same way", Server,
                   TCPServer<Actor>, FiberTCPServer<Actor>) {
  OneLoop other([](StreamRequestHandler& handler) {
    handler.request.sendall(pattern(beyond_buffers));  // before it reads
    handler.request.sendall(handler.rfile.read());
  });
  const ServerThread other_thread(other);
  const std::string told = told_by<Server>([&](StreamRequestHandler& handler) {
    ClientConnection connection = create_connection(other.server_address());
    const std::string question = pattern(beyond_buffers);
    std::size_t sent = 0;
    std::string received;
    while (sent < question.size()) {
      sent += connection.connection.send_unless_input(buffer(question) + sent);
      if (received.size() < beyond_buffers && detail::is_readable(connection.connection.fileno())) {
        received += connection.connection.recv(1 << 20);
      }
    }
    connection.shutdown(SHUT_WR);
    received += connection.rfile.read();
    handler.wfile.write(received == question + question ? "all" : "not all");
  });
  CHECK(told == "all");
}

TEST_CASE("send_unless_input: input ends the wait, and so does the end of it") {
  BothEnds both;
  const std::string bytes = pattern(1 << 20);
  both.peer.sendall("input");
  while (both.request.send_unless_input(buffer(bytes)) > 0) continue;
  CHECK(both.request.recv(100) == "input");
  both.peer.shutdown(SHUT_WR);
  CHECK(both.request.send_unless_input(buffer(bytes)) == 0);
  CHECK(both.request.recv(100).empty());
}

TEST_CASE("send_unless_input: room comes before input, and buffers may be several") {
  BothEnds both;
  both.peer.sendall("input");
  const std::array parts{buffer("one "), buffer("two", 3)};
  CHECK(both.request.send_unless_input(parts) == 8);
  CHECK(both.peer.recv(100) == std::string("one \0two", 8));
}

TEST_CASE("send_unless_input: nothing to send is no error, a peer that has gone is one") {
  BothEnds both;
  error_code error = errc::timed_out;
  CHECK(both.request.send_unless_input(std::array<boost::asio::const_buffer, 0>(), error) == 0);
  CHECK_FALSE(error);
  both.peer.close();
  CHECK_THROWS_AS(both.request.send_unless_input(buffer("bytes")), peer_gone_error);
}

TEST_CASE("send_unless_input: without a socket, a handler's test sees all of it") {
  Acting<TCPServer<Actor>> server([](StreamRequestHandler& handler) { echo(handler.rfile, handler.request); });
  CHECK(testing::converse(server, "some input", {.piece_size = 3}) == "some input");
}

}  // namespace
