/// What becomes of a connection, by its state and by the way in which its server stops: the table in
/// docs/reliability.md, cell by cell, under every mixin.

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <future>
#include <optional>
#include <set>
#include <sockserv.hpp>
#include <string>
#include <system_error>

#include "base/sanitized.hpp"
#include "program.hpp"
#include "support/support.hpp"

namespace {

using namespace sockserv;
using namespace support;
using namespace std::chrono_literals;
using program::connect_to;
using program::Program;

/// How many handlers have begun, in all processes.
std::atomic<int>& handlers_begun() {
  static const Shared<std::atomic<int>> count;
  return *count;
}

/// Answers lines, and does as two of them say.
struct Converses : StreamRequestHandler {
  void handle() override {
    ++handlers_begun();
    while (wait_for_next_request()) {
      const auto line = rfile.readline();
      if (!line) return;
      if (*line == "leave\n") {
        wfile.write("left\n");
        return;
      }
      if (*line == "work\n") {
        wfile.write("at work\n");
        if (!rfile.readline()) return;
      }
      wfile.write("done\n");
    }
  }
};

/// A client whose connection is in one of the states, and what is to become of it.
class Client {
 public:
  enum class State { in_backlog, is_new, at_work, idle, lingering };

  /// `in_backlog` takes a server that another client keeps.
  template <class Connect>
  Client(State state, const Connect& connect) : before_(handlers_begun()), connection_(connect()) {
    if (state == State::in_backlog) return;
    if (state == State::at_work) say("work\n", "at work\n");
    if (state == State::idle) say("do\n", "done\n");
    if (state == State::lingering) {
      connection_.send("leave\nand more");
      CHECK(connection_.read_all() == "left\n");
    }
    CHECK(eventually([this] { return handlers_begun() > before_; }));
  }

  void expect_answer() { say("do\n", "done\n"); }
  /// Its request is served, and then the connection ends.
  void expect_service() {
    expect_answer();
    expect_end();
  }
  void expect_end() { CHECK(connection_.read_all().empty()); }
  /// It ends, or is reset.
  void expect_loss() {
    std::string received;
    try {
      received = connection_.read_all();
    } catch (const std::system_error& error) {
      CHECK(error.code() == std::errc::connection_reset);
    }
    CHECK(received.empty());
  }
  /// It is still there, to take what the client sends. Where it was closed, the first byte is answered by a reset, and
  /// the second cannot be sent.
  void expect_lingering() {
    connection_.send("a");
    connection_.send("b");
    connection_.close();
  }
  void close() { connection_.close(); }

 private:
  void say(std::string_view line, std::string_view answer) {
    connection_.send(line);
    CHECK(connection_.read_line() == answer);
  }

  int before_;
  StreamClient connection_;
};

using State = Client::State;

/// A server in this process. If another client is to keep it, it has room for one.
template <class Server>
struct Scene {
  explicit Scene(
      State state, ServerOptions options = {.first_request_grace = patience}, void (*set_up)(Server&) = [](Server&) {})
      : server(loopback(), quiet(with_room_for(state, std::move(options)))) {
    if constexpr (requires { server.loops; }) server.loops = 1;
    if constexpr (requires { server.processes; }) server.processes = 1;
    set_up(server);
    handlers_begun();  // before workers are forked, which share it
    background.emplace(server);
    const auto connect = [this] { return StreamClient(server.server_address()); };
    if (state == State::in_backlog) keeper.emplace(State::at_work, connect);
    client.emplace(state, connect);
  }

  static ServerOptions with_room_for(State state, ServerOptions options) {
    if (state == State::in_backlog) options.max_connections = 1;
    return options;
  }

  /// Does something that waits, in another thread.
  template <class Action>
  auto begin(const Action& action) {
    auto result = std::async(std::launch::async, action);
    CHECK(eventually([this] { return server.stop_requested(); }));
    return result;
  }

  Server server;
  std::optional<ServerThread> background;
  std::optional<Client> keeper;
  std::optional<Client> client;
};

/// Without a mixin, the thread that serves is the handler's.
template <class Server>
constexpr bool serves_in_its_thread = std::is_same_v<Server, TCPServer<Converses>>;

/// Each state, in a subcase of its own. It has to come by all of them, so that doctest knows that there are more.
State each_state() {
  State state{};
  SUBCASE("in the backlog") { state = State::in_backlog; }
  SUBCASE("new") { state = State::is_new; }
  SUBCASE("at work") { state = State::at_work; }
  SUBCASE("idle") { state = State::idle; }
  SUBCASE("lingering") { state = State::lingering; }
  return state;
}

#define SERVERS                                                                                                     \
  TCPServer<Converses>, ThreadingTCPServer<Converses>, ThreadPoolTCPServer<Converses>, ForkingTCPServer<Converses>, \
      FiberTCPServer<Converses>, PreForkingTCPServer<Converses>, PreForkingMixIn<ThreadingTCPServer<Converses>>,    \
      PreForkingFiberTCPServer<Converses>

#define WORKERS                                                                   \
  PreForkingTCPServer<Converses>, PreForkingMixIn<ThreadingTCPServer<Converses>>, \
      PreForkingMixIn<ThreadPoolTCPServer<Converses>>, PreForkingFiberTCPServer<Converses>

TEST_CASE_TEMPLATE("stopping: request_stop", Server, SERVERS) {
  const State state = each_state();
  CAPTURE(state);
  Scene<Server> scene(state);
  scene.server.request_stop();
  // A connection that keeps the serving thread keeps the loop from ending, and ends only when more is asked for.
  const auto expect_end = [&](Client& client) {
    std::future<void> stopped;
    if (serves_in_its_thread<Server>) stopped = scene.begin([&] { scene.server.shutdown(); });
    client.expect_end();
  };
  switch (state) {
    case State::in_backlog:
      scene.keeper->expect_answer();
      expect_end(*scene.keeper);
      scene.background->stop();
      scene.server.server_close();
      return scene.client->expect_loss();
    case State::is_new:
    case State::at_work:
      scene.client->expect_answer();
      return expect_end(*scene.client);
    case State::idle:
      return expect_end(*scene.client);
    case State::lingering: {
      const auto closed = scene.begin([&] { scene.server.server_close(); });
      return scene.client->expect_lingering();
    }
  }
}

TEST_CASE_TEMPLATE("stopping: shutdown", Server, SERVERS) {
  const State state = each_state();
  CAPTURE(state);
  Scene<Server> scene(state);
  const auto stopped = scene.begin([&] { scene.server.shutdown(); });
  switch (state) {
    case State::in_backlog: {
      scene.keeper->expect_service();
      scene.background->stop();
      scene.server.server_close();
      return scene.client->expect_loss();
    }
    case State::is_new:
    case State::idle:
      return scene.client->expect_end();
    case State::at_work:
      return scene.client->expect_service();
    case State::lingering: {
      const auto closed = scene.begin([&] { scene.server.server_close(); });
      return scene.client->expect_lingering();
    }
  }
}

/// What a drain makes of a client, and of the one that keeps it in the backlog.
void expect_drained(State state, Client& client, std::optional<Client>& keeper) {
  if (keeper) keeper->expect_service();
  switch (state) {
    case State::in_backlog:
    case State::is_new:
    case State::at_work:
      return client.expect_service();
    case State::idle:
      return client.expect_end();
    case State::lingering:
      return client.expect_lingering();
  }
}

TEST_CASE_TEMPLATE("stopping: drain", Server, SERVERS) {
  const State state = each_state();
  CAPTURE(state);
  Scene<Server> scene(state);
  auto drained = scene.begin([&] { return scene.server.drain(patience); });
  if (state == State::lingering) CHECK(drained.wait_for(20ms) == std::future_status::timeout);
  expect_drained(state, *scene.client, scene.keeper);
  CHECK(drained.get().aborted == 0);
}

TEST_CASE_TEMPLATE("stopping: drain, at its limit", Server, SERVERS) {
  const State state = each_state();
  CAPTURE(state);
  Scene<Server> scene(state);
  const DrainResult result = scene.server.drain(30ms);
  const bool is_idle = state == State::idle;
  CHECK(result.aborted == (is_idle ? 0 : 1));
  CHECK(result.remaining == 0);
  scene.client->expect_loss();
}

TEST_CASE_TEMPLATE("stopping: server_close", Server, SERVERS) {
  const State state = each_state();
  CAPTURE(state);
  Scene<Server> scene(state);
  auto closed = scene.begin([&] { scene.server.server_close(); });
  switch (state) {
    case State::in_backlog:
      scene.keeper->expect_service();
      scene.client->expect_loss();
      break;
    case State::is_new:
    case State::idle:
      scene.client->expect_end();
      break;
    case State::at_work:
      CHECK(closed.wait_for(20ms) == std::future_status::timeout);
      scene.client->expect_service();
      break;
    case State::lingering:
      CHECK(closed.wait_for(20ms) == std::future_status::timeout);
      scene.client->expect_lingering();
  }
  closed.get();
}

/// The same, of a worker that stops while the server goes on: the next worker serves the backlog, and does not stop.
template <class Server>
void expect_of_worker_that_stops(Scene<Server>& scene, State state) {
  if (state != State::in_backlog) return expect_drained(state, *scene.client, scene.keeper);
  scene.keeper->expect_service();
  scene.client->expect_answer();
  scene.client->close();
}

TEST_CASE_TEMPLATE("stopping: a worker has served max_requests_per_child", Server, WORKERS) {
  const State state = each_state();
  CAPTURE(state);
  Scene<Server> scene(state, {.first_request_grace = patience},
                      [](Server& server) { server.max_requests_per_child = 1; });
  expect_of_worker_that_stops(scene, state);
}

TEST_CASE_TEMPLATE("stopping: SIGTERM to a worker", Server, WORKERS) {
#ifdef SOCKSERV_TSAN
  // It keeps a signal back that comes in a system call, in a process that one with several threads has forked.
  if (std::is_same_v<Server, PreForkingTCPServer<Converses>>)
    return skip("ThreadSanitizer does not pass the signal on");
#endif
  const State state = each_state();
  CAPTURE(state);
  Scene<Server> scene(state);
  const std::set<pid_t> workers = scene.server.active_children();
  REQUIRE(workers.size() == 1);
  ::kill(*workers.begin(), SIGTERM);
  expect_of_worker_that_stops(scene, state);
  CHECK(eventually([&] { return !scene.server.active_children().contains(*workers.begin()); }));
}

template <class Server>
struct OfOne : Server {
  OfOne(const std::string& path, ServerOptions options) : Server(path, with(std::move(options))) {
    if constexpr (requires { this->processes; }) this->processes = 1;
    if constexpr (requires { this->loops; }) this->loops = 1;
  }
  ~OfOne() override { this->server_close(); }
  static ServerOptions with(ServerOptions options) {
    options.first_request_grace = patience;
    options.max_connections = 1;
    return options;
  }
};

template <class Server>
void stop_program(void (Program::*send)(int) const) {
  const State state = each_state();
  CAPTURE(state);
  handlers_begun();  // shared with the program
  const TemporaryFolder folder;
  const Program program = Program::start<OfOne<Server>>(folder / "socket", {.drain_limit = patience});
  const auto connect = [&] { return connect_to(folder / "socket"); };
  std::optional<Client> keeper;
  if (state == State::in_backlog) keeper.emplace(State::at_work, connect);
  Client client(state, connect);
  (program.*send)(SIGTERM);
  expect_drained(state, client, keeper);
  CHECK(program.wait() == exit_clean);
}

#define UNIX_SERVERS                                                                                               \
  UnixStreamServer<Converses>, ThreadingUnixStreamServer<Converses>, ThreadPoolUnixStreamServer<Converses>,        \
      ForkingUnixStreamServer<Converses>, FiberUnixStreamServer<Converses>, PreForkingUnixStreamServer<Converses>, \
      PreForkingFiberUnixStreamServer<Converses>

TEST_CASE_TEMPLATE("stopping: SIGTERM to a program in run", Server, UNIX_SERVERS) {
  stop_program<Server>(&Program::signal);
}

TEST_CASE_TEMPLATE("stopping: SIGTERM to the process group of a program in run", Server, UNIX_SERVERS) {
  stop_program<Server>(&Program::signal_all);
}

}  // namespace
