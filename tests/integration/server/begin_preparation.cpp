/// Where clients wait that have to send something before their requests are prepared.

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <sockserv/layer/hmac_auth.hpp>

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

struct AwaitsAnswer : AwaitedInput {
  explicit AwaitsAnswer(time_point end) : until(end) {}
  bool is_enough(std::string_view received) const override { return received.size() >= answer.size(); }
  time_point deadline() const override { return until; }
  std::exception_ptr timeout_error() const override { return std::make_exception_ptr(std::runtime_error("no answer")); }
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

  std::unique_ptr<AwaitedInput> begin_preparation(Connection& request) override {
    request.sendall(challenge);
    return std::make_unique<AwaitsAnswer>(answer_within == 0s ? AwaitsAnswer::time_point::max()
                                                              : std::chrono::steady_clock::now() + answer_within);
  }
  void prepare_request(Connection& request, Address& client_address) override {
    Acting<Server>::prepare_request(request, client_address);
    if (!this->template take_awaited_input<AwaitsAnswer>(request)) request.sendall(challenge);
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

TEST_CASE_TEMPLATE("begin_preparation: with half of max_connections waiting, a new client ends the time of the oldest",
                   Server, SERVERS_THAT_AWAIT) {
  Challenges<Server> server(quiet({.max_connections = 4, .prepare_timeout = std::nullopt}));
  const ServerThread background(server);
  StreamClient first = challenged(server.server_address());
  StreamClient second = challenged(server.server_address());
  StreamClient third = challenged(server.server_address());
  CHECK(first.read_all().empty());
  CHECK(eventually([&] { return server.stats().completed == 1; }));
  CHECK(server.stats().aborted_prepare_timeout == 0);  // the layer has an error of its own
  CHECK(server.stats().handler_errors == 1);
  CHECK(server.requests_running() == 2);
  second.send(answer);
  expect_service(second);
}

TEST_CASE_TEMPLATE(
    "begin_preparation: clients that answer at once are all served, however many come beside silent ones", Server,
    SERVERS_THAT_AWAIT) {
  Challenges<Server> server(quiet({.max_connections = 8, .prepare_timeout = std::nullopt}));
  const ServerThread background(server);
  const StreamClient silent = challenged(server.server_address());
  std::this_thread::sleep_for(60ms);  // so that its time may end for another one
  std::vector<StreamClient> clients;
  for (int i = 0; i < 7; ++i) {
    clients.emplace_back(server.server_address());
    clients.back().send(answer);
    clients.back().send("hello\n");
    clients.back().shutdown_write();
  }
  for (StreamClient& client : clients) CHECK(client.read_all() == std::string(challenge) + "hello\n");
}

TEST_CASE_TEMPLATE("begin_preparation: what takes time after a client has answered is not the client's", Server,
                   SERVERS_THAT_AWAIT) {
  Challenges<Server> server(quiet({.prepare_timeout = 100ms}));
  server.answer_within = 100ms;
  server.handler_factory = [] {
    return std::make_unique<Actor>([](StreamRequestHandler& handler) {
      std::this_thread::sleep_for(50ms);
      handler.wfile.write("done\n");
    });
  };
  const ServerThread background(server);
  std::vector<StreamClient> clients;
  for (int i = 0; i < 6; ++i) {
    clients.emplace_back(server.server_address());
    clients.back().send(answer);
  }
  for (StreamClient& client : clients) CHECK(client.read_all() == std::string(challenge) + "done\n");
}

TEST_CASE("begin_preparation: a worker that serves one answer after another is not taken for dead") {
  Challenges<PreForkingTCPServer<Actor>> server;
  server.worker_timeout = 1s;
  server.handler_factory = [] {
    return std::make_unique<Actor>([](StreamRequestHandler& handler) {
      std::this_thread::sleep_for(200ms);
      handler.wfile.write("done\n");
    });
  };
  const ServerThread background(server);
  std::vector<StreamClient> silent;  // so that the worker accepts others soon
  for (int i = 0; i < 6; ++i) silent.push_back(challenged(server.server_address()));
  const std::set<pid_t> worker = server.active_children();
  std::vector<StreamClient> clients;
  for (int i = 0; i < 8; ++i) {
    clients.emplace_back(server.server_address());
    clients.back().send(answer);
  }
  for (StreamClient& client : clients) CHECK(client.read_all() == std::string(challenge) + "done\n");
  CHECK(server.active_children() == worker);
}

TEST_CASE("begin_preparation: max_connections counts clients that are awaited, and children") {
  Challenges<ForkingTCPServer<Actor>> server(quiet({.max_connections = 4, .prepare_timeout = std::nullopt}));
  server.set_concurrency(10);
  const ServerThread background(server);
  const StreamClient silent = challenged(server.server_address());
  std::vector<StreamClient> clients;
  for (std::size_t running = 2; running <= 4; ++running) {
    clients.push_back(challenged(server.server_address(), answer));
    expect_service(clients.back());
    CHECK(server.stats().active == running);
  }
  StreamClient another(server.server_address());  // in the backlog
  CHECK(eventually([&] { return server.active_children().size() == 3; }));
  CHECK(server.stats().accepted == 4);
  clients.front().close();
  CHECK(another.read_line() == challenge);
}

TEST_CASE_TEMPLATE("begin_preparation: what a layer throws there is an error of that client", Server,
                   SERVERS_THAT_AWAIT) {
  struct Throws : Challenges<Server> {
    struct Broken : AwaitedInput {
      bool is_enough(std::string_view received) const override {
        if (received == "bad!\n") throw std::runtime_error("bad bytes");
        return received.size() >= answer.size();
      }
      std::exception_ptr timeout_error() const override { throw std::runtime_error("worse"); }
      time_point deadline() const override { return until; }
      time_point until = std::chrono::steady_clock::now() + patience;
    };
    ~Throws() override { this->server_close(); }
    std::unique_ptr<AwaitedInput> begin_preparation(Connection& request) override {
      if (throws_at_once) throw std::runtime_error("at once");
      request.sendall(challenge);
      auto input = std::make_unique<Broken>();
      if (is_late) input->until = std::chrono::steady_clock::now();
      return input;
    }
    void prepare_request(Connection& request, Address& client_address) override {
      this->template take_awaited_input<Broken>(request);
      Server::prepare_request(request, client_address);  // NOLINT(bugprone-parent-virtual-call): it takes another input
      std::string said(answer.size(), '\0');
      request.recv_exactly(boost::asio::buffer(said));
    }
    bool throws_at_once = false;
    bool is_late = false;
  };
  Throws server;
  SUBCASE("in begin_preparation") { server.throws_at_once = true; }
  SUBCASE("in is_enough") {}
  SUBCASE("in timeout_error") { server.is_late = true; }
  const ServerThread background(server);
  StreamClient refused(server.server_address());
  if (!server.throws_at_once) CHECK(refused.read_line() == challenge);
  if (!server.throws_at_once && !server.is_late) refused.send("bad!\n");
  CHECK(refused.read_all().empty());
  CHECK(eventually([&] { return server.stats().handler_errors == 1; }));
  CHECK(eventually([&] { return server.stats().active == 0; }));
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

TEST_CASE_TEMPLATE("begin_preparation: shutdown serves clients that have answered, and ends the others properly",
                   Server, TCPServer<Actor>, ThreadingTCPServer<Actor>, ThreadPoolTCPServer<Actor>) {
  struct Counts : Challenges<Server> {
    Counts() : Challenges<Server>(quiet({.prepare_timeout = std::nullopt, .first_request_grace = 1h})) {}
    ~Counts() override { this->server_close(); }
    void close_request(Connection& request) override {
      ++closed;
      Challenges<Server>::close_request(request);
    }
    std::atomic<int> closed = 0;
  };
  Counts server;
  if constexpr (requires { server.queue_limit; }) server.queue_limit = 0;
  std::optional<ServerThread> background(std::in_place, server);
  StreamClient working = challenged(server.server_address());
  StreamClient answered = challenged(server.server_address());
  StreamClient silent = challenged(server.server_address());
  working.send(answer);
  expect_service(working);  // it has the only place
  answered.send(answer);
  answered.send("hello\n");
  answered.shutdown_write();
  auto stopped = std::async(std::launch::async, [&] { server.shutdown(); });
  CHECK(eventually([&] { return server.stop_requested(); }));
  working.close();
  CHECK(answered.read_all() == "hello\n");
  CHECK(silent.read_all().empty());
  stopped.get();
  server.server_close();
  CHECK(server.closed == 3);
}

TEST_CASE_TEMPLATE("begin_preparation: a drain ends at its limit, though clients that have answered wait for a place",
                   Server, ThreadingTCPServer<Actor>, ThreadPoolTCPServer<Actor>, ForkingTCPServer<Actor>) {
  Challenges<Server> server(quiet({.prepare_timeout = std::nullopt, .first_request_grace = 1h}));
  if constexpr (requires { server.queue_limit; }) server.queue_limit = 0;
  std::optional<ServerThread> background(std::in_place, server);
  StreamClient working = challenged(server.server_address());
  StreamClient answered = challenged(server.server_address());
  working.send(answer);
  expect_service(working);
  answered.send(answer);
  const DrainResult result = server.drain(50ms);
  CHECK(result.aborted == 2);
  CHECK(result.remaining == 0);
  background.reset();
}

TEST_CASE("begin_preparation: a second signal ends the wait for awaited clients") {
  Challenges<ForkingTCPServer<Actor>> server(quiet({.prepare_timeout = std::nullopt, .first_request_grace = 1h}));
  server.expect_drain(1h);
  std::optional<ServerThread> background(std::in_place, server);
  StreamClient working = challenged(server.server_address());
  StreamClient answered = challenged(server.server_address());
  StreamClient silent = challenged(server.server_address());
  working.send(answer);
  expect_service(working);
  answered.send(answer);
  server.request_stop();
  server.hurry_drain();
  CHECK(silent.read_all().empty());
  CHECK(answered.read_all().empty());
  server.kill_requests();
  background.reset();
  CHECK(eventually([&] {
    server.collect_children();
    return server.active_children().empty();
  }));
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

/// A layer that greets the client, and nothing more.
template <class Server>
struct GreetsFirst : Server {
  using Server::Server;
  ~GreetsFirst() override { this->server_close(); }
  void prepare_request(Connection& request, Address& client_address) override {
    Server::prepare_request(request, client_address);
    request.sendall("welcome\n");
  }
};

TEST_CASE_TEMPLATE("begin_preparation: a layer around another one begins nothing before that has acted", Server,
                   TCPServer<Actor>, ThreadingTCPServer<Actor>, ForkingTCPServer<Actor>, FiberTCPServer<Actor>) {
  HmacAuthMixIn<GreetsFirst<Server>> server(loopback(), quiet());
  server.authentication = {.key = "key", .protocol = AuthenticationProtocol::simple};
  server.handler_factory = [] { return std::make_unique<Actor>(echoes); };
  const ServerThread background(server);
  StreamClient client(server.server_address());
  CHECK(client.read_line() == "welcome\n");
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

// The second client stays in the backlog meanwhile, where another process could accept it.
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
