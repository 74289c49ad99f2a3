/// What CPython documents of socketserver but does not test, and the faults of the original that were not ported.

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <mutex>
#include <set>
#include <sockserv.hpp>
#include <thread>

#include "support/serving.hpp"
#include "support/support.hpp"

namespace {

using namespace sockserv;
using namespace support;

/// Sends a line and returns what comes back.
std::string ask(const Address& server, std::string_view line = "hello\n") {
  StreamClient client(server);
  client.send(line);
  return client.read_line();
}

TEST_CASE("handle_request calls handle_timeout when its time has passed") {
  struct Server : TCPServer<Echo> {
    using TCPServer::TCPServer;
    void handle_timeout() override { ++timeouts; }
    int timeouts = 0;
  };
  Server server(loopback());
  server.timeout = 20ms;
  const auto start = std::chrono::steady_clock::now();
  server.handle_request();
  CHECK(std::chrono::steady_clock::now() - start >= 20ms);
  CHECK(server.timeouts == 1);

  server.timeout = 0ms;
  server.handle_request();
  CHECK(server.timeouts == 2);

  server.timeout = std::nullopt;
  StreamClient client(server.server_address());
  client.shutdown_write();
  server.handle_request();
  CHECK(server.timeouts == 2);
}

TEST_CASE("a handler's timeout throws timeout_error, and the reader stays usable") {
  static std::atomic<bool> timed_out = false;
  struct Patient : StreamRequestHandler {
    Patient() { timeout = 20ms; }
    void handle() override {
      try {
        rfile.readline();
      } catch (const timeout_error& error) {
        CHECK(error.code() == errc::timed_out);
        CHECK(error.code() == boost::system::errc::timed_out);
        timed_out = true;
        wfile.write("hurry\n");
      }
      request.settimeout(std::nullopt);
      wfile.write(*rfile.readline());
    }
  };
  TCPServer<Patient> server(loopback());
  ServerThread background(server);
  StreamClient client(server.server_address());
  client.send("first half, ");
  CHECK(client.read_line() == "hurry\n");
  client.send("second half\n");
  CHECK(client.read_line() == "first half, second half\n");
  CHECK(timed_out);
}

TEST_CASE("service_actions is called after each request, and while nothing comes") {
  struct Server : TCPServer<Echo> {
    using TCPServer::TCPServer;
    ~Server() override { server_close(); }
    void service_actions() override { ++actions; }
    std::atomic<int> actions = 0;
  };
  Server server(loopback());
  std::thread thread([&] { server.serve_forever(1ms); });
  CHECK(eventually([&] { return server.actions >= 3; }));
  server.shutdown();
  thread.join();
}

TEST_CASE("the hooks are called in Python's order") {
  static std::mutex mutex;
  static std::vector<std::string> calls;
  static const auto note = [](const char* call) {
    const std::scoped_lock lock(mutex);
    calls.emplace_back(call);
  };
  struct Handler : BaseRequestHandler<Connection> {
    void setup() override { note("setup"); }
    void handle() override { note("handle"); }
    void finish() override { note("finish"); }
  };
  struct Server : TCPServer<Handler> {
    using TCPServer::TCPServer;
    std::optional<std::pair<Connection, Address>> get_request() override {
      note("get_request");
      return TCPServer::get_request();
    }
    bool verify_request(Connection& request, const Address& address) override {
      note("verify_request");
      return TCPServer::verify_request(request, address);
    }
    void process_request(Connection& request, const Address& address) override {
      note("process_request");
      TCPServer::process_request(request, address);
    }
    void finish_request(Connection& request, const Address& address) override {
      note("finish_request");
      TCPServer::finish_request(request, address);
    }
    void shutdown_request(Connection& request) override {
      note("shutdown_request");
      TCPServer::shutdown_request(request);
    }
    void close_request(Connection& request) override {
      note("close_request");
      TCPServer::close_request(request);
    }
    void service_actions() override {
      note("service_actions");
      request_stop();
    }
  };
  Server server(loopback());
  StreamClient client(server.server_address());
  server.serve_forever();
  CHECK(calls == std::vector<std::string>{"get_request", "verify_request", "process_request", "finish_request", "setup",
                                          "handle", "finish", "shutdown_request", "close_request", "service_actions"});
}

TEST_CASE("finish runs exactly when setup has succeeded") {
  static std::string calls;
  static std::string failing;
  struct Handler : BaseRequestHandler<Connection> {
    static void step(const std::string& name) {
      calls += name + " ";
      if (name == failing) throw std::runtime_error(name);
    }
    void setup() override { step("setup"); }
    void handle() override { step("handle"); }
    void finish() override { step("finish"); }
  };
  const auto run = [](const char* where) {
    calls.clear();
    failing = where;
    try {
      testing::converse<Handler>("");
    } catch (const std::runtime_error& error) {
      calls += std::string("threw ") + error.what();
    }
    return calls;
  };
  CHECK(run("") == "setup handle finish ");
  CHECK(run("setup") == "setup threw setup");
  CHECK(run("handle") == "setup handle finish threw handle");
  CHECK(run("finish") == "setup handle finish threw finish");
}

TEST_CASE("max_children holds, in serve_forever and in handle_request") {
  struct Who : StreamRequestHandler {
    void handle() override {
      wfile.write(std::to_string(::getpid()) + "\n");
      rfile.readline();
    }
  };
  ForkingTCPServer<Who> server(loopback());
  server.max_children = 2;

  SUBCASE("serve_forever: the backlog holds the third, and stopping is not held up") {
    ServerThread background(server);
    StreamClient first(server.server_address());
    StreamClient second(server.server_address());
    CHECK(first.read_line() != second.read_line());
    StreamClient third(server.server_address());
    CHECK(server.active_children().size() == 2);
    first.close();  // ends its handler, and so makes room
    CHECK(!third.read_line().empty());
    CHECK(server.active_children().size() <= 2);

    StreamClient fourth(server.server_address());
    server.shutdown();  // returns although two children run and a client waits
    CHECK(server.active_children().size() == 2);
    second.close();
    third.close();
  }
  SUBCASE("handle_request waits for room, no longer than its timeout") {
    StreamClient first(server.server_address());
    StreamClient second(server.server_address());
    StreamClient third(server.server_address());
    server.handle_request();
    server.handle_request();
    CHECK(server.active_children().size() == 2);
    server.timeout = 20ms;
    server.handle_request();  // times out
    CHECK(server.active_children().size() == 2);
    first.close();
    server.timeout = patience;
    server.handle_request();
    CHECK(!third.read_line().empty());
    second.close();
    third.close();
    server.server_close();
  }
}

TEST_CASE("a forking server's timeout is 300 seconds, and max_children 40") {
  const ForkingTCPServer<Echo> server(loopback());
  CHECK(server.timeout == std::chrono::seconds(300));
  CHECK(server.max_children == 40);
  CHECK(server.block_on_close);
}

TEST_CASE("max_threads holds: the backlog keeps the third client until there is room") {
  ThreadingTCPServer<Echo> server(loopback());
  server.max_threads = 2;
  ServerThread background(server);
  StreamClient first(server.server_address());
  StreamClient second(server.server_address());
  first.send("1\n");
  second.send("2\n");
  CHECK(first.read_line() == "1\n");
  CHECK(second.read_line() == "2\n");
  StreamClient third(server.server_address());
  third.send("3\n");
  CHECK(server.requests_running() == 2);
  first.close();
  CHECK(third.read_line() == "3\n");
  second.close();
  third.close();
}

TEST_CASE("server_close waits for requests, unless block_on_close is false") {
  static std::atomic<bool> finished;
  struct Slow : StreamRequestHandler {
    void handle() override {
      wfile.write("started\n");
      rfile.readline();
      finished = true;
    }
  };
  finished = false;
  SUBCASE("threading, true") {
    ThreadingTCPServer<Slow> server(loopback());
    StreamClient client(server.server_address());
    server.handle_request();
    CHECK(client.read_line() == "started\n");
    std::thread closer([&] { server.server_close(); });
    client.send("go\n");
    closer.join();
    CHECK(finished);
  }
  SUBCASE("threading, false; the destructor waits all the same") {
    {
      ThreadingTCPServer<Slow> server(loopback());
      server.block_on_close = false;
      StreamClient client(server.server_address());
      server.handle_request();
      CHECK(client.read_line() == "started\n");
      server.server_close();
      CHECK(!finished);
      client.send("go\n");
    }
    CHECK(finished);
  }
  SUBCASE("threading, daemons: the destructor aborts them") {
    const auto start = std::chrono::steady_clock::now();
    ThreadingTCPServer<Slow> server(loopback());
    server.daemon_threads = true;
    StreamClient client(server.server_address());
    server.handle_request();
    CHECK(client.read_line() == "started\n");
    server.server_close();
    CHECK(std::chrono::steady_clock::now() - start < patience);
  }
  SUBCASE("forking, true and false") {
    ForkingTCPServer<Slow> server(loopback());
    server.block_on_close = false;
    StreamClient client(server.server_address());
    server.handle_request();
    CHECK(client.read_line() == "started\n");
    server.server_close();
    CHECK(server.active_children().size() == 1);
    client.send("go\n");
    server.collect_children(true);
    CHECK(server.active_children().empty());
  }
}

TEST_CASE("only own children are reaped") {
  ForkingTCPServer<Echo> server(loopback());
  const pid_t unrelated = ::fork();
  if (unrelated == 0) ::_exit(72);
  {
    ServerThread background(server);
    CHECK(ask(server.server_address()) == "hello\n");
    CHECK(eventually([&] { return server.active_children().empty(); }));
  }
  int status = 0;
  CHECK(::waitpid(unrelated, &status, 0) == unrelated);
  CHECK(WEXITSTATUS(status) == 72);
}

TEST_CASE("IPv6: served, printed, and dual stack only on demand") {
  TCPServer<Echo> server(Address("::1", 0));
  CHECK(server.server_address().family() == AF_INET6);
  CHECK(server.server_address().to_string() == "[::1]:" + std::to_string(server.server_address().port()));
  {
    ServerThread background(server);
    CHECK(ask(server.server_address()) == "hello\n");
  }
  UDPServer<EchoPacket> datagrams(Address("::1", 0));
  {
    ServerThread background(datagrams);
    DatagramClient client(datagrams.server_address());
    client.send("hello");
    CHECK(client.receive() == "hello");
  }

  struct Peer : StreamRequestHandler {
    void handle() override { wfile.write(client_address.host() + "\n"); }
  };
  TCPServer<Peer> both(Address("::", 0), {.dual_stack = true});
  {
    ServerThread background(both);
    StreamClient client(Address("127.0.0.1", both.server_address().port()));
    CHECK(client.read_line() == "127.0.0.1\n");
  }
  const TCPServer<Peer> only_v6(Address("::", 0));
  CHECK_THROWS(StreamClient(Address("127.0.0.1", only_v6.server_address().port())));
  CHECK_THROWS_AS(TCPServer<Peer>(loopback(), {.dual_stack = true}), std::invalid_argument);
}

TEST_CASE("allow_reuse_address: a restart after connections in TIME_WAIT, on by default") {
  struct CloseFirst : StreamRequestHandler {
    void handle() override { wfile.write("bye\n"); }
  };
  const auto leave_time_wait = [](const ServerOptions& options) {
    TCPServer<CloseFirst> server(loopback(), options);
    StreamClient client(server.server_address());
    server.handle_request();
    CHECK(client.read_all() == "bye\n");
    return server.server_address();
  };
  const Address used = leave_time_wait({});
  for (int i = 0; i < 50; ++i) CHECK_NOTHROW(TCPServer<Echo>{used});
  CHECK_THROWS_AS(TCPServer<Echo>(leave_time_wait({.allow_reuse_address = false}), {.allow_reuse_address = false}),
                  boost::system::system_error);
}

TEST_CASE("allow_reuse_port: two servers share a port when both ask for it, and Unix sockets refuse") {
  const TCPServer<Echo> first(loopback(), {.allow_reuse_port = true});
  CHECK_NOTHROW(TCPServer<Echo>(first.server_address(), {.allow_reuse_port = true}));
  CHECK_THROWS_AS(TCPServer<Echo>(first.server_address()), boost::system::system_error);
  const TemporaryFolder folder;
  CHECK_THROWS_AS(UnixStreamServer<Echo>(folder / "socket", {.allow_reuse_port = true}), std::invalid_argument);
}

TEST_CASE("a second UDP server on the same port is refused, although allow_reuse_address is on") {
  const UDPServer<EchoPacket> first(loopback());
  CHECK_THROWS_AS(UDPServer<EchoPacket>(first.server_address()), boost::system::system_error);
}

TEST_CASE("bind_and_activate false: the caller binds and activates, overrides included") {
  struct Server : TCPServer<Echo> {
    Server() : TCPServer(loopback(), {.bind_and_activate = false}) {}
    ~Server() override { server_close(); }
    void server_bind() override {
      TCPServer::server_bind();
      bound = true;
    }
    void server_activate() override {
      TCPServer::server_activate();
      activated = true;
    }
    bool bound = false;
    bool activated = false;
  };
  Server server;
  CHECK(server.fileno() >= 0);
  CHECK(server.server_address().port() == 0);
  server.server_bind();
  CHECK(server.bound);
  CHECK(server.server_address().port() != 0);
  CHECK_THROWS(StreamClient(server.server_address()));
  server.server_activate();
  CHECK(server.activated);
  ServerThread background(server);
  CHECK(ask(server.server_address()) == "hello\n");
}

TEST_CASE("a failing server_activate leaves nothing behind") {
  const TemporaryFolder folder;
  const auto descriptors = open_descriptors();
  CHECK_THROWS_AS(TCPServer<Echo>(folder / "socket"), std::invalid_argument);
  CHECK_THROWS_AS(UnixStreamServer<Echo>{loopback()}, std::invalid_argument);
  CHECK_THROWS_AS(UnixStreamServer<Echo>(folder / "missing/socket"), boost::system::system_error);
  CHECK_THROWS_AS(UDPServer<EchoPacket>(loopback(), {.max_packet_size = 0}), std::invalid_argument);
  CHECK(open_descriptors() == descriptors);
}

TEST_CASE("a closed or unbound server says so instead of serving") {
  TCPServer<Echo> server(loopback());
  server.server_close();
  server.server_close();
  CHECK(server.fileno() == -1);
  CHECK(server.state() == ServerState::stopped);
  CHECK_NOTHROW(server.serve_forever());  // told to stop: returns at once
  CHECK_NOTHROW(server.handle_request());

  TCPServer<Echo> unbound(loopback(), {.bind_and_activate = false});
  CHECK_THROWS_WITH_AS(unbound.serve_forever(), doctest::Contains("does not listen"), std::logic_error);
  unbound.server_bind();
  CHECK_THROWS_AS(unbound.handle_request(), std::logic_error);
  UDPServer<EchoPacket> datagrams(loopback(), {.bind_and_activate = false});
  CHECK_THROWS_AS(datagrams.handle_request(), std::logic_error);
  CHECK_THROWS_AS(unbound.serve_forever(std::chrono::seconds(0)), std::invalid_argument);
}

TEST_CASE("handler_factory makes the handlers") {
  struct Greeter : StreamRequestHandler {
    explicit Greeter(std::string given) : greeting(std::move(given)) {}
    void handle() override { wfile.write(greeting); }
    std::string greeting;
  };
  TCPServer<Greeter> server(loopback(), quiet());
  CHECK_THROWS_WITH_AS(server.handle_request(), doctest::Contains("handler_factory is empty"), std::invalid_argument);
  const std::string greeting = "hello from the factory\n";
  server.handler_factory = [&] { return std::make_unique<Greeter>(greeting); };
  StreamClient client(server.server_address());
  server.handle_request();
  CHECK(client.read_all() == greeting);
}

struct Motto : StreamRequestHandler {
  void handle() override;
};
struct MottoServer : TCPServer<Motto> {
  using TCPServer::TCPServer;
  std::string motto = "serve\n";
};
void Motto::handle() {
  CHECK_THROWS_WITH_AS(server_as<TCPServer<Echo>>(), doctest::Contains("server_as: the server is a"), std::logic_error);
  wfile.write(server_as<MottoServer>().motto);
}

TEST_CASE("server_as gives the concrete server, and says so when it is another") {
  MottoServer server(loopback());
  StreamClient client(server.server_address());
  server.handle_request();
  CHECK(client.read_all() == "serve\n");
}

}  // namespace
