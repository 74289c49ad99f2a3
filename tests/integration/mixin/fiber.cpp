#include <sockserv/mixin/fiber.hpp>  // first, to test that it is self-contained

#include <doctest/doctest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <boost/thread/exceptions.hpp>
#include <fstream>
#include <iterator>
#include <mutex>
#include <set>
#include <sockserv.hpp>
#include <thread>
#include <vector>

#include "integration/acting.hpp"
#include "support/serving.hpp"
#include "support/support.hpp"

namespace {

using namespace acting;
using namespace support;
using std::chrono::hours;
using std::chrono::steady_clock;

std::string echoed_by(AbstractServer& server, const std::string& text) {
  StreamClient client(server.server_address());
  client.send(text);
  client.shutdown_write();
  return client.read_all();
}

TEST_CASE("fibers: a knob that makes no sense is refused before serving, by its name") {
  FiberTCPServer<Echo> server(loopback());
  CHECK(server.loops >= 1);
  const auto expect_refusal = [&](const char* knob) {
    CHECK_THROWS_WITH_AS(server.serve_forever(), doctest::Contains(knob), std::invalid_argument);
    CHECK_THROWS_WITH_AS(server.handle_request(), doctest::Contains(knob), std::invalid_argument);
  };
  server.loops = 0;
  expect_refusal("loops");
  server.loops = 1;
  server.stack_size = 16383;
  expect_refusal("stack_size");
  server.stack_size = 16384;
  server.stall_threshold = -1ms;
  expect_refusal("stall_threshold");
  server.stall_threshold = 0ms;
  server.busy_poll = -1ns;
  expect_refusal("busy_poll");
  server.busy_poll = 1ms + 1ns;
  expect_refusal("busy_poll");
  server.busy_poll = 1ms;
  const ServerThread background(server);
  CHECK(echoed_by(server, "hello\n") == "hello\n");
}

/// True while a thread of this process has nothing to do.
bool is_asleep(pid_t thread) {
  std::ifstream file("/proc/self/task/" + std::to_string(thread) + "/stat");
  const std::string status{std::istreambuf_iterator<char>(file), {}};
  return status.at(status.rfind(')') + 2) == 'S';
}

TEST_CASE("fibers: a loop that polls busily serves all that comes, and sleeps when nothing has for long enough") {
  static std::atomic<pid_t> loop = 0;
  static std::atomic<bool> waiter_is_done = false;
  waiter_is_done = false;
  OneLoop server([](StreamRequestHandler& handler) {
    loop = ::gettid();
    for (const std::string_view line : handler.rfile) {
      if (line == "wait\n") {
        this_request::sleep_for(5ms);
        this_request::offload([] {});
        waiter_is_done = true;
      }
      handler.wfile.write(line);
    }
  });
  server.busy_poll = 1ms;
  const ServerThread background(server);
  StreamClient waiter(server.server_address());
  StreamClient busy(server.server_address());
  waiter.send("wait\n");
  while (!waiter_is_done) {  // one that keeps the loop busy does not keep others waiting
    busy.send("on\n");
    REQUIRE(busy.read_line() == "on\n");
  }
  CHECK(waiter.read_line() == "wait\n");
  for (int i = 0; i < 3; ++i) {
    CHECK(eventually([] { return is_asleep(loop); }));
    busy.send("and on\n");
    CHECK(busy.read_line() == "and on\n");
  }
}

TEST_CASE("fibers run in as many threads as there are loops") {
  static std::mutex mutex;
  static std::set<std::thread::id> threads;
  threads.clear();
  OneLoop server([](StreamRequestHandler& handler) {
    {
      const std::scoped_lock lock(mutex);
      threads.insert(std::this_thread::get_id());
    }
    handler.wfile.write("here\n");
    handler.rfile.readline();
  });
  std::vector<StreamClient> clients;
  SUBCASE("one") { server.loops = 1; }
  SUBCASE("three") { server.loops = 3; }
  const ServerThread background(server);
  for (int i = 0; i < 100; ++i) {
    clients.emplace_back(server.server_address());
    CHECK(clients.back().read_line() == "here\n");
  }
  CHECK(server.requests_running() == 100);
  clients.clear();
  CHECK(eventually([&] { return server.requests_running() == 0; }));
  CHECK(threads.size() == server.loops);  // so many at once are shared out
}

TEST_CASE("fibers: the smallest stack is enough for a simple handler, and for its exception") {
  FiberTCPServer<Echo> server(loopback(), quiet());
  server.stack_size = 16384;
  server.handler_factory = [made = 0]() mutable {
    if (++made % 2 == 0) throw std::runtime_error("as told");
    return std::make_unique<Echo>();
  };
  server.loops = 1;
  const ServerThread background(server);
  for (std::uint64_t i = 1; i <= 10; ++i) {
    CHECK(echoed_by(server, "hello\n") == "hello\n");
    CHECK(echoed_by(server, "").empty());
    CHECK(server.stats().handler_errors == i);
  }
}

TEST_CASE("handle_request serves on a fiber and does not wait for it") {
  struct Waits : StreamRequestHandler {
    void handle() override { wfile.write(*rfile.readline()); }
  };
  FiberTCPServer<Waits> server(loopback());
  StreamClient first(server.server_address());
  StreamClient second(server.server_address());
  server.handle_request();
  server.handle_request();
  CHECK(server.requests_running() == 2);
  second.send("second\n");
  CHECK(second.read_all() == "second\n");
  first.send("first\n");
  CHECK(first.read_all() == "first\n");
}

TEST_CASE("fibers: a server that never served can be destroyed, closed and drained, with and without a backlog") {
  {
    const FiberTCPServer<Echo> server(loopback());
  }
  {
    FiberTCPServer<Echo> server(loopback());
    server.server_close();
    server.server_close();
    CHECK(server.state() == ServerState::stopped);
  }
  FiberTCPServer<Echo> server(loopback());
  std::vector<StreamClient> clients;
  for (int i = 0; i < 40; ++i) {
    clients.emplace_back(server.server_address());
    clients.back().send("hello\n");
    clients.back().shutdown_write();
  }
  SUBCASE("never served") { CHECK(server.drain(patience).aborted == 0); }
  SUBCASE("while serving") {
    const ServerThread background(server);
    CHECK(server.drain(patience).aborted == 0);
  }
  for (StreamClient& client : clients) CHECK(client.read_all() == "hello\n");
  CHECK(server.stats().accepted == 40);
}

/// What a handler waits for when its server drains.
void wait_as_told(StreamRequestHandler& handler) {
  const std::string how(*handler.rfile.readline());
  handler.wfile.write("waiting\n");
  if (how == "read\n") handler.rfile.readline();
  if (how == "write\n") {
    for (;;) handler.wfile.write(std::string(1 << 16, 'x'));
  }
  if (how == "sleep\n") this_request::sleep_for(hours(1));
  if (how == "offload\n") this_request::offload([] { this_request::sleep_for(hours(1)); });
}

TEST_CASE("fibers: drain wakes handlers that wait, for whatever it is") {
  for (const std::size_t loops : {1U, 3U}) {
    OneLoop server(wait_as_told, quiet());
    server.loops = loops;
    const ServerThread background(server);
    std::vector<StreamClient> clients;
    for (const char* how : {"read\n", "write\n", "sleep\n", "offload\n"}) {
      for (int i = 0; i < 3; ++i) {
        clients.emplace_back(server.server_address());
        clients.back().send(how);
        CHECK(clients.back().read_line() == "waiting\n");
      }
    }
    const DrainResult result = server.drain(10ms);
    CHECK(result.aborted == 12);
    CHECK(result.remaining == 0);
    CHECK(server.state() == ServerState::stopped);
  }
}

TEST_CASE("fibers: what drain cannot end, it counts: a function that was offloaded, a handler that computes") {
  static std::atomic<bool> go_on;
  go_on = false;
  OneLoop server([](StreamRequestHandler& handler) {
    handler.wfile.write("working\n");
    const auto work = [] {
      while (!go_on) std::this_thread::yield();
    };
    if (*handler.rfile.readline() == "offload\n") this_request::offload(work);
    work();
  });
  server.loops = 2;
  const ServerThread background(server);
  std::vector<StreamClient> clients;
  for (const char* how : {"offload\n", "compute\n"}) {
    clients.emplace_back(server.server_address());
    CHECK(clients.back().read_line() == "working\n");
    clients.back().send(how);
  }
  const DrainResult result = server.drain(1ms);
  CHECK(result.aborted == 2);
  CHECK(result.remaining == 2);
  go_on = true;
}

TEST_CASE("fibers: a handler can stop its server without waiting for itself") {
  struct Stopper : StreamRequestHandler {
    void handle() override {
      const std::string how(*rfile.readline());
      if (how == "request_stop\n") server.request_stop();
      if (how == "shutdown\n") server.shutdown();
      if (how == "close\n") server.server_close();
      if (how == "drain\n") server.drain(patience);
      wfile.write("told\n");
      wfile.write(*rfile.readline());
    }
  };
  for (const char* how : {"request_stop\n", "shutdown\n", "close\n", "drain\n"}) {
    FiberTCPServer<Stopper> server(loopback());
    std::thread serving([&] { server.serve_forever(); });
    StreamClient client(server.server_address());
    client.send(how);
    CHECK(client.read_line() == "told\n");
    serving.join();
    CHECK((server.fileno() == -1) == (std::string_view(how) == "close\n"));
    CHECK(server.state() == ServerState::draining);
    client.send("and goes on\n");
    CHECK(client.read_all() == "and goes on\n");
    CHECK(eventually([&] { return server.state() == ServerState::stopped; }));
  }
}

/// A server whose hooks do what the test says, in its loops' threads.
struct Hooked : FiberTCPServer<Echo> {
  explicit Hooked(ServerOptions options = quiet()) : FiberTCPServer<Echo>(loopback(), std::move(options)) {}
  ~Hooked() override { server_close(); }

  std::optional<std::pair<Connection, Address>> get_request() override {
    if (failures-- > 0) detail::throw_error(error_code(failure, boost::system::system_category()), "accept");
    return FiberTCPServer<Echo>::get_request();
  }
  bool verify_request(Connection& request, const Address& client) override { return verify(request, client); }
  void process_request(Connection& request, const Address& client) override {
    if (process) process(request);
    FiberTCPServer<Echo>::process_request(request, client);
  }
  void handle_error(const Address&, std::exception_ptr error) override {
    errors.sink()(LogLevel::error, detail::describe(error));
  }

  std::function<bool(Connection&, const Address&)> verify = [](Connection&, const Address&) { return true; };
  std::function<void(Connection&)> process;
  std::atomic<int> failures = 0;
  int failure = 0;
  Lines errors;
};

TEST_CASE("fibers: verify_request refuses, throws, and stops the server, and no two calls happen at once") {
  Hooked server;
  std::atomic<int> inside = 0;
  std::atomic<int> calls = 0;
  server.loops = 3;
  server.verify = [&](Connection&, const Address&) {
    CHECK(++inside == 1);
    const int number = calls++;
    std::this_thread::yield();
    --inside;
    if (number % 3 == 1) throw std::runtime_error("as told");
    return number % 3 != 0;
  };
  std::optional<ServerThread> background(server);
  std::vector<StreamClient> clients;
  for (int i = 0; i < 300; ++i) {
    clients.emplace_back(server.server_address());
    detail::error_of([&] {  // a connection that was refused may be gone already
      clients.back().send("hello\n");
      clients.back().shutdown_write();
    });
  }
  int served = 0;
  for (StreamClient& client : clients) {
    try {
      if (client.read_all() == "hello\n") ++served;
    } catch (const std::system_error&) {  // closed without having read what was sent: a reset
    }
  }
  CHECK(served == 100);
  CHECK(server.stats().handler_errors == 100);

  server.verify = [&](Connection&, const Address&) {
    server.shutdown();
    return true;
  };
  CHECK(echoed_by(server, "the last one\n") == "the last one\n");
  CHECK(eventually([&] { return server.state() == ServerState::stopped; }));
  background.reset();
}

TEST_CASE("fibers: a request to end the thread, thrown by a hook, ends the request only") {
  Hooked server;
  server.loops = 1;
  server.verify = [calls = 0](Connection&, const Address&) mutable {
    if (++calls <= 3) throw boost::thread_interrupted();
    return true;
  };
  const ServerThread background(server);
  for (int i = 0; i < 3; ++i) {
    StreamClient client(server.server_address());
    CHECK(client.read_all().empty());
  }
  CHECK(echoed_by(server, "hello\n") == "hello\n");
  CHECK(server.stats().handler_errors == 0);
  CHECK(eventually([&] { return server.requests_running() == 0; }));
}

TEST_CASE("fibers: an override of process_request may do more, and may keep the request for another thread") {
  Hooked server;
  server.process = [](Connection& request) { request.sendall("before "); };
  std::optional<ServerThread> background(server);
  CHECK(echoed_by(server, "hello\n") == "before hello\n");
  background.reset();

  struct Keeps : FiberTCPServer<Echo> {
    Keeps() : FiberTCPServer<Echo>(loopback()) {}
    ~Keeps() override { server_close(); }
    void process_request(Connection& request, const Address& client) override {
      if (later.joinable()) later.join();
      later = std::thread([this, kept = std::make_shared<Connection>(std::move(request)), client] {
        FiberTCPServer<Echo>::process_request(*kept, client);
      });
    }
    std::thread later;
  };
  Keeps keeps;
  ServerThread serving(keeps);
  for (int i = 0; i < 10; ++i) CHECK(echoed_by(keeps, "hello\n") == "hello\n");
  serving.stop();
  keeps.later.join();
}

TEST_CASE("fibers: failures to accept make the loops pause, and lose nothing") {
  for (const int failure : {EMFILE, ECONNABORTED}) {
    Hooked server;
    server.loops = 2;
    server.failures = 3;
    server.failure = failure;
    const ServerThread background(server);
    CHECK(echoed_by(server, "hello\n") == "hello\n");
    CHECK(server.stats().accept_errors == 3);
    CHECK(server.stats().accepted == 1);
  }
}

TEST_CASE("fibers: a listening socket that is none any more ends serving with its error") {
  Hooked server;
  server.failures = 1000000;
  server.failure = EBADF;
  const StreamClient client(server.server_address());
  CHECK_THROWS_AS(server.serve_forever(), boost::system::system_error);
  CHECK(server.state() == ServerState::stopped);
}

TEST_CASE("fibers: what handlers throw goes to handle_error, a request to end the thread goes nowhere") {
  struct Throws : StreamRequestHandler {
    void handle() override {
      const std::string what(*rfile.readline());
      if (what == "error\n") throw std::runtime_error("as told");
      if (what == "int\n") throw 42;
      if (what == "interrupt\n") throw boost::thread_interrupted();
      if (what == "interrupt offload\n") this_request::offload([] { throw boost::thread_interrupted(); });
    }
  };
  FiberTCPServer<Throws> server(loopback(), quiet());
  server.loops = 1;
  const ServerThread background(server);
  for (const char* what : {"error\n", "interrupt\n", "int\n", "interrupt offload\n", "nothing\n"}) {
    StreamClient client(server.server_address());
    client.send(what);
    CHECK(client.read_all().empty());
  }
  CHECK(server.stats().handler_errors == 2);
}

TEST_CASE("process_request_fiber may be extended, and what it throws closes the request") {
  struct Extended : FiberTCPServer<Echo> {
    Extended() : FiberTCPServer<Echo>(loopback(), quiet()) {}
    ~Extended() override { server_close(); }
    void process_request_fiber(Connection& request, const Address& client_address) override {
      request.sendall("before ");
      if (request.recv(1) == "!") throw std::runtime_error("from override");
      FiberTCPServer<Echo>::process_request_fiber(request, client_address);
    }
  };
  Extended server;
  const ServerThread background(server);
  CHECK(echoed_by(server, "!") == "before ");
  CHECK(server.stats().handler_errors == 1);
  CHECK(echoed_by(server, ".hello\n") == "before hello\n");
}

TEST_CASE("fibers: two servers in one process, each with loops of its own") {
  static std::atomic<AbstractServer*> other;
  struct Asks : StreamRequestHandler {
    void handle() override {
      const std::string line(*rfile.readline());
      wfile.write(this_request::offload([&] { return echoed_by(*other, line); }));
    }
  };
  FiberTCPServer<Echo> echo(loopback());
  FiberTCPServer<Asks> asks(loopback());
  other = &echo;
  const ServerThread echoing(echo);
  const ServerThread asking(asks);
  std::vector<StreamClient> clients;
  for (int i = 0; i < 20; ++i) {
    clients.emplace_back(asks.server_address());
    clients.back().send(std::to_string(i) + "\n");
  }
  for (std::size_t i = 0; i < clients.size(); ++i) CHECK(clients[i].read_all() == std::to_string(i) + "\n");
}

TEST_CASE("fibers: a handler may shut down another server with fibers") {
  FiberTCPServer<Echo> other(loopback());
  const ServerThread serving_other(other);
  CHECK(echoed_by(other, "hello\n") == "hello\n");
  OneLoop server([&](StreamRequestHandler& handler) {
    other.shutdown();
    handler.wfile.write(other.state() == ServerState::stopped ? "stopped" : "still there");
  });
  const ServerThread background(server);
  StreamClient client(server.server_address());
  CHECK(client.read_all() == "stopped");
}

TEST_CASE("fibers: server_close waits for requests, unless block_on_close is false") {
  FiberTCPServer<Lingers> server(loopback());
  StreamClient client(server.server_address());
  server.handle_request();
  CHECK(client.read_line() == "here\n");
  SUBCASE("waits") {
    std::atomic<bool> closed = false;
    std::thread closing([&] {
      server.server_close();
      closed = true;
    });
    CHECK(eventually([&] { return server.fileno() == -1; }));
    CHECK_FALSE(closed);
    client.close();
    closing.join();
  }
  SUBCASE("does not wait") {
    server.block_on_close = false;
    server.server_close();
    CHECK(eventually([&] { return server.requests_running() == 1; }));
    client.close();
  }
}

TEST_CASE("fibers: loops that cannot be made end serving with an error, or close the request") {
  FiberTCPServer<Echo> server(loopback(), quiet());
  server.loops = 4;
  StreamClient client(server.server_address());
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  const int next_descriptor = ::dup(server.fileno());
  ::close(next_descriptor);
  rlimit few_left = before;
  few_left.rlim_cur = static_cast<rlim_t>(next_descriptor) + 7;  // enough for a connection and one loop
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &few_left) == 0);
  server.handle_request();
  CHECK(client.read_all().empty());
  CHECK(server.stats().handler_errors == 1);
  CHECK_THROWS_AS(server.serve_forever(), boost::system::system_error);
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
  const ServerThread background(server);
  CHECK(echoed_by(server, "hello\n") == "hello\n");
}

TEST_CASE("fibers: a datagram's reply waits for a receiver without room, and holds up nobody else") {
  struct Floods : DatagramRequestHandler {
    void handle() override {
      const std::string block(10000, 'x');
      for (int i = 0; packet == "flood" && i < 1000; ++i) socket.sendto(block, client_address);
      wfile.write("end");
    }
  };
  const TemporaryFolder folder;
  FiberUnixDatagramServer<Floods> server(folder / "socket");
  server.loops = 1;
  const ServerThread background(server);
  DatagramClient slow(server.server_address());
  slow.send("flood");
  for (int i = 0; i < 10; ++i) {
    DatagramClient quick(server.server_address());
    quick.send("hello");
    CHECK(quick.receive() == "end");
  }
  CHECK(eventually([&] { return server.requests_running() == 1; }));
  int blocks = 0;
  while (slow.receive() != "end") ++blocks;
  CHECK(blocks == 1000);
}

/// Keeps the stall reports, and lets the handler that causes one go on when there is one.
struct StallWatch {
  Lines lines;
  std::atomic<int> reports = 0;

  ServerOptions options() {
    return {.log = [this](LogLevel level, std::string_view line) {
      CHECK(level == LogLevel::warning);
      lines.sink()(level, line);
      ++reports;
    }};
  }
};

struct KeepsItsThread : StreamRequestHandler {
  void handle() override;
};

struct Watched : FiberTCPServer<KeepsItsThread> {
  explicit Watched(StallWatch& stall_watch)
      : FiberTCPServer<KeepsItsThread>(loopback(), stall_watch.options()), watch(stall_watch) {
    loops = 2;
    stall_threshold = 50ms;
  }
  ~Watched() override { server_close(); }
  StallWatch& watch;
};

/// Stalls twice, with a wait between; each time until that is reported, and for as long again.
void KeepsItsThread::handle() {
  auto& watched = server_as<Watched>();
  for (int stall = 1; rfile.readline() == "stall\n"; ++stall) {
    const auto start = steady_clock::now();
    while (watched.watch.reports < stall) std::this_thread::yield();
    CHECK(steady_clock::now() - start >= watched.stall_threshold);
    const auto reported = steady_clock::now();
    while (steady_clock::now() - reported < 3 * watched.stall_threshold) std::this_thread::yield();
    wfile.write("done\n");
    this_request::sleep_for(1ms);
  }
}

TEST_CASE("fibers: a handler that keeps its thread is reported, once for each time, with its name, client and time") {
  StallWatch watch;
  Watched server(watch);
  ServerThread background(server);
  StreamClient client(server.server_address());
  for (int i = 0; i < 3; ++i) {
    client.send("stall\n");
    CHECK(client.read_line() == "done\n");
  }
  const std::string peer = client.address().to_string();
  client.close();
  background.stop();
  const auto lines = watch.lines.all();
  REQUIRE(lines.size() == 3);
  for (const std::string& line : lines) {
    CHECK(line.find("KeepsItsThread") != line.npos);
    CHECK(line.find("serving " + peer + ",") != line.npos);
    CHECK(line.find("offload") != line.npos);
    const std::size_t time = line.find("for ") + 4;
    CHECK(std::stoi(line.substr(time)) >= 50);
  }
}

/// Far more than the moment for which a busy machine may keep a thread from running.
constexpr auto threshold = 300ms;

void compute_for(steady_clock::duration length) {
  const auto start = steady_clock::now();
  while (steady_clock::now() - start < length) std::this_thread::yield();
}

TEST_CASE("fibers: a handler that waits is not reported, however long") {
  StallWatch watch;
  {
    OneLoop server(
        [](StreamRequestHandler& handler) {
          const std::string how(*handler.rfile.readline());
          handler.wfile.write("waiting\n");
          if (how == "read\n") handler.rfile.readline();
          if (how == "sleep\n") this_request::sleep_for(2 * threshold);
          if (how == "offload\n") this_request::offload([] { compute_for(2 * threshold); });
        },
        watch.options());
    server.stall_threshold = threshold;
    const ServerThread background(server);
    std::vector<StreamClient> clients;
    for (const char* how : {"read\n", "sleep\n", "offload\n"}) {
      clients.emplace_back(server.server_address());
      clients.back().send(how);
      CHECK(clients.back().read_line() == "waiting\n");
    }
    CHECK(clients[1].read_all().empty());
    CHECK(clients[2].read_all().empty());
    clients[0].send("go on\n");
    CHECK(clients[0].read_all().empty());
  }
  CHECK(watch.reports == 0);
}

TEST_CASE("fibers: a stall_threshold of zero means that no handler is reported") {
  StallWatch watch;
  {
    OneLoop server([](StreamRequestHandler&) { compute_for(100ms); }, watch.options());
    server.stall_threshold = 0ms;
    const ServerThread background(server);
    StreamClient client(server.server_address());
    CHECK(client.read_all().empty());
  }
  CHECK(watch.reports == 0);
}

}  // namespace
