/// What becomes of a client that is new when its server stops.

#include <doctest/doctest.h>

#include <chrono>
#include <csignal>
#include <future>
#include <set>
#include <string>

#include "acting.hpp"

namespace {

using namespace acting;
using namespace std::chrono_literals;
using namespace support;

/// Answers each line, and waits for the next one as an idle connection does.
void answers_lines(StreamRequestHandler& handler) {
  while (handler.wait_for_next_request()) {
    const auto line = handler.rfile.readline();
    if (!line) return;
    handler.wfile.write(*line);
  }
}

/// A client whose handler waits for its first request.
template <class Server>
struct NewClient {
  explicit NewClient(Acting<Server>& server) : client(server.server_address()) {
    CHECK(eventually([&] { return server.stats().accepted == 1; }));
    CHECK(eventually([&] { return server.requests_running() == 1; }));
  }
  StreamClient client;
};

TEST_CASE_TEMPLATE("first request: a client that is new when the server drains is served once", Server,
                   SERVERS_OF_ACTORS) {
  Acting<Server> server(answers_lines, quiet({.first_request_grace = patience}));
  std::optional<ServerThread> background(std::in_place, server);
  NewClient<Server> visit(server);
  auto result = std::async(std::launch::async, [&] { return server.drain(patience); });
  CHECK(eventually([&] { return server.stop_requested(); }));
  CHECK(result.wait_for(50ms) == std::future_status::timeout);
  visit.client.send("first\n");
  CHECK(visit.client.read_all() == "first\n");
  CHECK(result.get().aborted == 0);
}

TEST_CASE_TEMPLATE("first request: a client that says nothing within the grace is idle", Server, SERVERS_OF_ACTORS) {
  Acting<Server> server(answers_lines, quiet({.first_request_grace = 20ms}));
  std::optional<ServerThread> background(std::in_place, server);
  NewClient<Server> visit(server);
  CHECK(server.drain(patience).aborted == 0);
  CHECK(visit.client.read_all().empty());
}

TEST_CASE_TEMPLATE("first request: the grace has no meaning before the server stops", Server, SERVERS_OF_ACTORS) {
  Acting<Server> server(answers_lines, quiet({.first_request_grace = 1ms}));
  const ServerThread background(server);
  StreamClient client(server.server_address());
  CHECK(eventually([&] { return server.stats().accepted == 1; }));
  std::this_thread::sleep_for(20ms);
  client.send("late\n");
  CHECK(client.read_line() == "late\n");
  client.shutdown_write();
  CHECK(client.read_all().empty());
}

TEST_CASE_TEMPLATE("first request: a client that was served is idle at once, whatever the grace", Server,
                   SERVERS_OF_ACTORS) {
  Acting<Server> server(answers_lines, quiet({.first_request_grace = 1h}));
  std::optional<ServerThread> background(std::in_place, server);
  NewClient<Server> visit(server);
  visit.client.send("first\n");
  CHECK(visit.client.read_line() == "first\n");
  CHECK(server.drain(patience).aborted == 0);
  CHECK(visit.client.read_all().empty());
}

TEST_CASE_TEMPLATE("first request: shutdown ends a new client at once", Server, SERVERS_OF_ACTORS) {
  Acting<Server> server(answers_lines, quiet({.first_request_grace = 1h}));
  std::optional<ServerThread> background(std::in_place, server);
  NewClient<Server> visit(server);
  background->stop();
  CHECK(visit.client.read_all().empty());
}

TEST_CASE_TEMPLATE("first request: the last client of a worker that is replaced is served", Server,
                   PreForkingTCPServer<Actor>, PreForkingMixIn<ThreadingTCPServer<Actor>>,
                   PreForkingMixIn<ThreadPoolTCPServer<Actor>>, PreForkingFiberTCPServer<Actor>) {
  Acting<Server> server(answers_lines, quiet({.first_request_grace = patience}));
  server.processes = 1;
  server.max_requests_per_child = 1;
  const ServerThread background(server);
  for (int i = 0; i < 3; ++i) {
    StreamClient client(server.server_address());
    std::this_thread::sleep_for(30ms);  // long enough for the worker to find that it has served enough
    client.send("first\n");
    CHECK(client.read_line() == "first\n");
  }
}

TEST_CASE_TEMPLATE("first request: SIGTERM to its worker leaves a new client its first request", Server,
                   PreForkingTCPServer<Actor>, PreForkingMixIn<ThreadingTCPServer<Actor>>,
                   PreForkingMixIn<ThreadPoolTCPServer<Actor>>, PreForkingFiberTCPServer<Actor>) {
  Acting<Server> server(answers_lines, quiet({.first_request_grace = patience}));
  server.processes = 1;
  const ServerThread background(server);
  NewClient<Server> visit(server);
  const std::set<pid_t> workers = server.active_children();
  REQUIRE(workers.size() == 1);
  ::kill(*workers.begin(), SIGTERM);
  std::this_thread::sleep_for(20ms);  // for the worker to hear of it
  visit.client.send("first\n");
  CHECK(visit.client.read_line() == "first\n");
  visit.client.close();
  CHECK(eventually([&] { return !server.active_children().contains(*workers.begin()); }));
}

TEST_CASE_TEMPLATE("first request: request_stop leaves a new client its first request", Server, SERVERS_OF_ACTORS) {
  Acting<Server> server(answers_lines, quiet({.first_request_grace = patience}));
  const ServerThread background(server);
  NewClient<Server> visit(server);
  server.request_stop();
  std::this_thread::sleep_for(20ms);  // for the loop to end
  visit.client.send("first\n");
  CHECK(visit.client.read_line() == "first\n");
  visit.client.close();
}

}  // namespace
