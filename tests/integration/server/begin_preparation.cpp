/// Where clients wait that have to send something before their requests are prepared.

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "../acting.hpp"
#include "support/support.hpp"

namespace {

using namespace acting;
using namespace std::chrono_literals;
using namespace support;

/// What a layer challenges its clients with, and what they are to answer.
constexpr std::string_view challenge = "who?\n";
constexpr std::string_view answer = "me!\n";

void echoes(StreamRequestHandler& handler) {
  for (const std::string_view line : handler.rfile) handler.wfile.write(line);
}

struct AwaitsAnswer : Preparation {
  explicit AwaitsAnswer(time_point end) : until(end) {}
  bool has_enough(std::string_view received) const override { return received.size() >= answer.size(); }
  time_point deadline() const override { return until; }
  std::exception_ptr error() const override { return std::make_exception_ptr(std::runtime_error("no answer")); }
  time_point until;
};

/// A layer that challenges its clients.
template <class Server>
struct Challenges : Acting<Server> {
  explicit Challenges(ServerOptions options = quiet()) : Acting<Server>(echoes, std::move(options)) {
    this->set_concurrency(1);  // so that there is no second place
  }
  ~Challenges() override {
    this->begin_destruction(typeid(Challenges));
    this->abort_and_wait();
  }

  std::unique_ptr<Preparation> begin_preparation(Connection& request) override {
    request.sendall(challenge);
    return std::make_unique<AwaitsAnswer>(answer_within == 0s ? AwaitsAnswer::time_point::max()
                                                              : std::chrono::steady_clock::now() + answer_within);
  }
  void prepare_request(Connection& request, Address& client_address) override {
    Acting<Server>::prepare_request(request, client_address);
    if (!this->take_preparation(request)) request.sendall(challenge);
    std::string said(answer.size(), '\0');
    request.recv_exactly(boost::asio::buffer(said));
    if (said != answer) throw std::runtime_error("wrong answer");
  }

  std::chrono::steady_clock::duration answer_within{};
};

/// A client that has been challenged, and has sent that.
StreamClient challenged(const Address& server, std::string_view says = "") {
  StreamClient client(server);
  CHECK(client.read_line() == challenge);
  if (!says.empty()) client.send(says);
  return client;
}

void expect_service(StreamClient& client) {
  client.send("hello\n");
  CHECK(client.read_line() == "hello\n");
}

/// The mixins under which clients are awaited outside.
#define SERVERS_THAT_AWAIT                                                                          \
  TCPServer<Actor>, ThreadingTCPServer<Actor>, ForkingTCPServer<Actor>, ThreadPoolTCPServer<Actor>, \
      PreForkingTCPServer<Actor>

TEST_CASE_TEMPLATE("begin_preparation: clients that say too little take no place", Server, SERVERS_OF_ACTORS) {
  Challenges<Server> server(quiet({.prepare_timeout = std::nullopt}));
  const ServerThread background(server);
  std::vector<StreamClient> silent;
  for (int i = 0; i < 20; ++i) silent.push_back(challenged(server.server_address(), i % 2 == 0 ? "" : "me"));
  StreamClient client = challenged(server.server_address(), answer);
  expect_service(client);
  client.close();
  SUBCASE("and are served once they go on") {
    silent[7].send("!\n");
    expect_service(silent[7]);
    silent[7].close();
    silent[2].send(answer);
    expect_service(silent[2]);
  }
  for (StreamClient& each : silent) each.close();
}

TEST_CASE_TEMPLATE("begin_preparation: a client that has gone, or gives a wrong answer, is an error", Server,
                   SERVERS_OF_ACTORS) {
  Challenges<Server> server;
  const ServerThread background(server);
  challenged(server.server_address(), "me").close();
  CHECK(eventually([&] { return server.stats().peers_gone == 1; }));
  CHECK(challenged(server.server_address(), "it!\n").read_all().empty());
  CHECK(eventually([&] { return server.stats().handler_errors == 1; }));
  StreamClient client = challenged(server.server_address(), answer);
  expect_service(client);
  client.close();
  CHECK(eventually([&] { return server.stats().completed == 3; }));
}

TEST_CASE_TEMPLATE("begin_preparation: limits hold while a client is awaited", Server, SERVERS_OF_ACTORS) {
  SUBCASE("prepare_timeout") {
    Challenges<Server> server(quiet({.prepare_timeout = 20ms}));
    const ServerThread background(server);
    CHECK(challenged(server.server_address(), "me").read_all().empty());
    CHECK(eventually([&] { return server.stats().aborted_prepare_timeout == 1; }));
  }
  SUBCASE("idle_timeout") {
    Challenges<Server> server(quiet({.idle_timeout = 20ms}));
    const ServerThread background(server);
    CHECK(challenged(server.server_address()).read_all().empty());
    CHECK(eventually([&] { return server.stats().aborted_idle_timeout == 1; }));
  }
  SUBCASE("request_timeout") {
    Challenges<Server> server(quiet({.request_timeout = 20ms}));
    const ServerThread background(server);
    CHECK(challenged(server.server_address()).read_all().empty());
    CHECK(eventually([&] { return server.stats().aborted_request_timeout == 1; }));
  }
}

TEST_CASE_TEMPLATE("begin_preparation: the limit of a layer is its own error", Server, SERVERS_THAT_AWAIT) {
  Challenges<Server> server(quiet({.prepare_timeout = std::nullopt}));
  server.answer_within = 20ms;
  const ServerThread background(server);
  CHECK(challenged(server.server_address(), "me").read_all().empty());
  CHECK(eventually([&] { return server.stats().handler_errors == 1; }));
  CHECK(server.stats().aborted_prepare_timeout == 0);
}

TEST_CASE_TEMPLATE("begin_preparation: with half of max_connections waiting, a new client displaces the oldest", Server,
                   SERVERS_THAT_AWAIT) {
  Challenges<Server> server(quiet({.max_connections = 4, .prepare_timeout = std::nullopt}));
  const ServerThread background(server);
  StreamClient first = challenged(server.server_address());
  StreamClient second = challenged(server.server_address());
  StreamClient third = challenged(server.server_address());
  CHECK(first.read_all().empty());
  CHECK(eventually([&] { return server.stats().completed == 1; }));
  CHECK(server.requests_running() == 2);
  second.send(answer);
  expect_service(second);
}

TEST_CASE_TEMPLATE("begin_preparation: a single connection that is allowed may wait", Server, SERVERS_THAT_AWAIT) {
  Challenges<Server> server(quiet({.max_connections = 1}));
  const ServerThread background(server);
  StreamClient client = challenged(server.server_address(), answer);
  expect_service(client);
}

TEST_CASE_TEMPLATE("begin_preparation: when the server drains, a client may answer within the grace", Server,
                   SERVERS_OF_ACTORS) {
  Challenges<Server> server(quiet({.first_request_grace = patience}));
  std::optional<ServerThread> background(std::in_place, server);
  StreamClient client = challenged(server.server_address());
  auto result = std::async(std::launch::async, [&] { return server.drain(patience); });
  CHECK(eventually([&] { return server.stop_requested(); }));
  client.send(answer);
  expect_service(client);
  client.shutdown_write();
  CHECK(result.get().aborted == 0);
}

TEST_CASE_TEMPLATE("begin_preparation: when the server drains, a client that stays silent is closed, without an error",
                   Server, SERVERS_THAT_AWAIT) {
  Challenges<Server> server(quiet({.prepare_timeout = std::nullopt, .first_request_grace = 20ms}));
  std::optional<ServerThread> background(std::in_place, server);
  StreamClient client = challenged(server.server_address());
  CHECK(server.drain(patience).aborted == 0);
  CHECK(client.read_all().empty());
  CHECK(server.stats().handler_errors == 0);
  CHECK(server.stats().aborted_prepare_timeout == 0);
}

TEST_CASE_TEMPLATE("begin_preparation: a client in the backlog of a server that drains is awaited too", Server,
                   SERVERS_THAT_AWAIT) {
  Challenges<Server> server(quiet({.first_request_grace = patience}));
  StreamClient client(server.server_address());
  auto result = std::async(std::launch::async, [&] { return server.drain(patience); });
  CHECK(client.read_line() == challenge);
  client.send(answer);
  expect_service(client);
  client.shutdown_write();
  CHECK(result.get().aborted == 0);
}

TEST_CASE_TEMPLATE("begin_preparation: shutdown closes those that are awaited at once", Server, SERVERS_THAT_AWAIT) {
  Challenges<Server> server(quiet({.prepare_timeout = std::nullopt, .first_request_grace = 1h}));
  std::optional<ServerThread> background(std::in_place, server);
  StreamClient client = challenged(server.server_address());
  SUBCASE("alone") { background->stop(); }
  SUBCASE("after request_stop") {
    server.request_stop();
    background->stop();
  }
  CHECK(client.read_all().empty());
  CHECK(eventually([&] { return server.requests_running() == 0; }));
}

TEST_CASE_TEMPLATE("begin_preparation: at its limit a drain aborts those that are awaited", Server,
                   SERVERS_THAT_AWAIT) {
  Challenges<Server> server(quiet({.prepare_timeout = std::nullopt, .first_request_grace = 1h}));
  std::optional<ServerThread> background(std::in_place, server);
  StreamClient client = challenged(server.server_address());
  const DrainResult result = server.drain(20ms);
  CHECK(result.aborted == 1);
  CHECK(result.remaining == 0);
  CHECK(client.read_all().empty());
}

TEST_CASE_TEMPLATE("begin_preparation: handle_request prepares the request that it accepts", Server, TCPServer<Actor>,
                   ThreadingTCPServer<Actor>) {
  Challenges<Server> server;
  StreamClient client(server.server_address());
  client.send(answer);
  client.send("hello\n");
  client.shutdown_write();
  server.handle_request();
  CHECK(client.read_all() == std::string(challenge) + "hello\n");
}

TEST_CASE("begin_preparation: a child has no descriptor of the clients that are awaited") {
  Challenges<ForkingTCPServer<Actor>> server(quiet({.prepare_timeout = std::nullopt}));
  server.handler_factory = [] {
    return std::make_unique<Actor>([](StreamRequestHandler& handler) {
      handler.wfile.write(std::to_string(open_descriptors().size()) + "\n");
      handler.rfile.readline();
    });
  };
  const ServerThread background(server);
  StreamClient alone = challenged(server.server_address(), answer);
  const std::string descriptors = alone.read_line();
  alone.close();
  CHECK(eventually([&] { return server.active_children().empty(); }));
  std::vector<StreamClient> silent;
  for (int i = 0; i < 5; ++i) silent.push_back(challenged(server.server_address()));
  // Each of them and their other ends are in the test's process, too.
  StreamClient client = challenged(server.server_address(), answer);
  CHECK(std::stoul(client.read_line()) == std::stoul(descriptors) + silent.size());
}

// Not before: whoever comes later can be served by another process, or after the first.
TEST_CASE("begin_preparation: a server of one request at a time gives a client a moment for itself") {
  Challenges<TCPServer<Actor>> server(quiet({.prepare_timeout = std::nullopt}));
  const ServerThread background(server);
  const auto begun = std::chrono::steady_clock::now();
  const StreamClient first(server.server_address());
  CHECK(eventually([&] { return server.stats().accepted == 1; }));
  StreamClient second = challenged(server.server_address(), answer);
  CHECK(std::chrono::steady_clock::now() - begun >= 50ms);
  expect_service(second);
}

}  // namespace
