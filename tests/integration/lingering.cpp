/// How connections end whose clients have sent more than was read.

#include <doctest/doctest.h>
#include <sys/socket.h>

#include <chrono>
#include <future>
#include <string>
#include <thread>
#include <vector>

#include "acting.hpp"
#include "base/sanitized.hpp"

namespace {

using namespace acting;
using namespace std::chrono_literals;
using namespace support;

#if defined(SOCKSERV_ASAN) || defined(SOCKSERV_TSAN)
constexpr std::size_t crowd_size = 100;
#else
constexpr std::size_t crowd_size = 1000;
#endif

/// Reads one line and answers with that many bytes.
Action answers(std::size_t bytes) {
  return [bytes](StreamRequestHandler& handler) {
    handler.rfile.readline();
    handler.wfile.write(std::string(bytes, 'x'));
  };
}

/// Reads one byte off the socket, and answers.
void answers_by_hand(StreamRequestHandler& handler) {
  char byte = 0;
  handler.request.recv(boost::asio::buffer(&byte, 1));
  handler.wfile.write("answer");
}

// A connection that is closed while something is unread ends by a reset: read_all() would throw.
TEST_CASE_TEMPLATE("lingering: the answer is whole though its client has sent more than was read", Server,
                   SERVERS_OF_ACTORS) {
  SUBCASE("in the buffer of rfile") {
    Acting<Server> server(answers(8 << 20), quiet());
    const ServerThread background(server);
    StreamClient client(server.server_address());
    client.send("a line\nand more\n");
    CHECK(client.read_line().size() == 8 << 20);
  }
  SUBCASE("in the buffer of rfile, for a client that reads slowly") {
    Acting<Server> server(answers(8 << 20), quiet());
    const ServerThread background(server);
    StreamClient client(server.server_address());
    client.send("a line\nand more\n");
    std::string space(65536, '\0');
    std::size_t total = 0;
    for (ssize_t count = 1; count > 0; total += static_cast<std::size_t>(count)) {
      std::this_thread::sleep_for(1ms);
      count = ::recv(client.fileno(), space.data(), space.size(), 0);
      REQUIRE(count >= 0);  // else: it was reset
    }
    CHECK(total == 8 << 20);
  }
  SUBCASE("in the socket") {
    Acting<Server> server(answers_by_hand, quiet());
    const ServerThread background(server);
    StreamClient client(server.server_address());
    client.send(std::string(100'000, 'x'));
    CHECK(client.read_all() == "answer");
  }
  SUBCASE("sent when the answer has come") {
    Acting<Server> server(answers(1000), quiet());
    const ServerThread background(server);
    StreamClient client(server.server_address());
    client.send("a line\nand more\n");
    CHECK(client.read_all().size() == 1000);
    client.send("a last word");
    client.shutdown_write();
    CHECK(client.read_all().empty());
    client.close();
    CHECK(eventually([&] { return server.requests_running() == 0; }));
  }
}

TEST_CASE("lingering: a client on a Unix socket sees the end of the answer, and no reset") {
  UnixStreamServer<Actor> server(Address(std::string_view("\0sockserv-lingering", 19)), quiet());
  server.handler_factory = [] { return std::make_unique<Actor>(answers_by_hand); };
  const ServerThread background(server);
  StreamClient client(server.server_address());
  client.send("xx");
  CHECK(client.read_all() == "answer");
}

TEST_CASE_TEMPLATE("lingering: a rejection reaches a client that has spoken", Server, SERVERS_OF_ACTORS) {
  struct Rejects : Acting<Server> {
    Rejects() : Acting<Server>([](StreamRequestHandler&) {}, quiet()) {}
    ~Rejects() override { this->server_close(); }
    bool verify_request(Connection& request, const Address&) override {
      char byte = 0;
      request.recv(boost::asio::buffer(&byte, 1));  // so that the rest has come as well
      return false;
    }
    void request_rejected(Connection& request, const Address&, Rejection) override { request.sendall("no"); }
  };
  Rejects server;
  const ServerThread background(server);
  StreamClient client(server.server_address());
  client.send("xx");
  CHECK(client.read_all() == "no");
}

TEST_CASE_TEMPLATE("lingering: such a connection counts, and a drain waits for it, within its limit", Server,
                   SERVERS_OF_ACTORS) {
  Acting<Server> server(answers_by_hand, quiet());
  std::optional<ServerThread> background(std::in_place, server);
  StreamClient client(server.server_address());
  client.send("xx");
  CHECK(client.read_all() == "answer");
  CHECK(server.requests_running() == 1);
  SUBCASE("the client goes") {
    auto result = std::async(std::launch::async, [&] { return server.drain(patience); });
    CHECK(result.wait_for(50ms) == std::future_status::timeout);
    client.close();
    CHECK(result.get().aborted == 0);
  }
  SUBCASE("it does not") {
    const DrainResult result = server.drain(1ms);
    CHECK(result.aborted == 1);
    CHECK(result.remaining == 0);
  }
  CHECK(server.requests_running() == 0);
}

TEST_CASE_TEMPLATE("lingering has limits", Server, SERVERS_OF_ACTORS) {
  SUBCASE("of time, for a client that goes on sending") {
    Acting<Server> server(answers_by_hand, quiet({.linger_timeout = 100ms}));
    const ServerThread background(server);
    StreamClient client(server.server_address());
    client.send("xx");
    CHECK(client.read_all() == "answer");
    CHECK(eventually([&] {
      detail::error_of([&] { client.send("x"); });
      return server.requests_running() == 0;
    }));
  }
  SUBCASE("of bytes") {
    Acting<Server> server(answers_by_hand, quiet({.linger_limit = 10'000}));
    const ServerThread background(server);
    StreamClient client(server.server_address());
    client.send("xx");
    CHECK(client.read_all() == "answer");
    detail::error_of([&] { client.send(std::string(20'000, 'x')); });
    CHECK(eventually([&] { return server.requests_running() == 0; }));
  }
  SUBCASE("of patience, for a client that does nothing") {
    Acting<Server> server(answers_by_hand, quiet());
    const ServerThread background(server);
    StreamClient client(server.server_address());
    client.send("xx");
    CHECK(client.read_all() == "answer");
    CHECK(eventually([&] { return server.requests_running() == 0; }));
  }
}

TEST_CASE_TEMPLATE("lingering: a thousand connections hold no thread and no fiber, and others are served", Server,
                   TCPServer<Actor>, ThreadingTCPServer<Actor>, ThreadPoolTCPServer<Actor>, FiberTCPServer<Actor>) {
  const ManyDescriptors descriptors;
  if (!descriptors.enough_for(2 * crowd_size)) return skip("this user may not open 2,100 descriptors (ulimit -n)");
  Acting<Server> server(answers_by_hand, quiet());
  if constexpr (requires { server.pool_size; }) server.pool_size = 2;
  if constexpr (requires { server.max_threads; }) server.max_threads = 2;
  std::optional<ServerThread> background(std::in_place, server);
  std::vector<StreamClient> clients;
  for (std::size_t i = 0; i < crowd_size; ++i) {
    clients.emplace_back(server.server_address());
    clients.back().send("xx");
  }
  for (StreamClient& client : clients) CHECK(client.read_all() == "answer");
  CHECK(server.requests_running() == crowd_size);
  StreamClient another(server.server_address());
  another.send("x");
  CHECK(another.read_all() == "answer");
  clients.clear();
  another.close();
  CHECK(eventually([&] { return server.requests_running() == 0; }));
}

}  // namespace
