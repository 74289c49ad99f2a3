#include <sockserv/server/abstract.hpp>  // first, to test that it is self-contained

#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <boost/thread/thread.hpp>
#include <sockserv.hpp>
#include <thread>
#include <vector>

#include "support/serving.hpp"
#include "support/support.hpp"

namespace {

using namespace sockserv;
using namespace support;

TEST_CASE("state goes one way: created, serving, draining, stopped") {
  ThreadingTCPServer<Echo> server(loopback());
  CHECK(server.state() == ServerState::created);
  ServerThread background(server);
  StreamClient client(server.server_address());
  client.send("x\n");
  CHECK(client.read_line() == "x\n");
  CHECK(server.state() == ServerState::serving);
  server.shutdown();
  CHECK(server.state() == ServerState::draining);
  client.close();
  CHECK(eventually([&] { return server.state() == ServerState::stopped; }));
  CHECK_NOTHROW(server.serve_forever());
  CHECK(server.state() == ServerState::stopped);
}

TEST_CASE(
    "serving_loop_ended is called once the server stops, in the thread that serves, and what it throws is logged") {
  struct Ending : ThreadingTCPServer<Lingers> {
    using ThreadingTCPServer<Lingers>::ThreadingTCPServer;
    ~Ending() override { server_close(); }
    void serving_loop_ended() override {
      ++calls;
      thread = std::this_thread::get_id();
      throw std::runtime_error("as it must");
    }
    int calls = 0;
    std::thread::id thread;
  };
  Lines lines;
  Ending server(loopback(), {.log = lines.sink()});
  std::thread serving([&] { CHECK_NOTHROW(server.serve_forever()); });
  const std::thread::id served_by = serving.get_id();
  StreamClient client(server.server_address());
  CHECK(client.read_line() == "here\n");
  CHECK(server.calls == 0);
  server.shutdown();
  serving.join();
  CHECK(server.calls == 1);
  CHECK(server.thread == served_by);
  CHECK(lines.mention("serving_loop_ended failed: std::runtime_error: as it must"));
  client.close();
}

TEST_CASE("serving_loop_ended may be interrupted, which ends the thread that serves and nothing else") {
  struct Ending : TCPServer<Echo> {
    using TCPServer<Echo>::TCPServer;
    ~Ending() override { server_close(); }
    void serving_loop_ended() override { boost::this_thread::interruption_point(); }
  };
  Ending server(loopback());
  boost::thread serving([&] { server.serve_forever(); });
  CHECK(eventually([&] { return server.state() == ServerState::serving; }));
  serving.interrupt();
  server.shutdown();
  serving.join();
  CHECK(server.state() == ServerState::stopped);
}

TEST_CASE("check_settings may ask the server for its state, and stop it") {
  struct Curious : TCPServer<Echo> {
    using TCPServer<Echo>::TCPServer;
    ~Curious() override { server_close(); }
    void check_settings() const override {
      CHECK(state() == ServerState::created);
      const_cast<Curious*>(this)->shutdown();
    }
  };
  Curious server(loopback());
  server.serve_forever();
  CHECK(server.state() == ServerState::stopped);
}

TEST_CASE("a drain takes the backlog of a server whose handler has closed it") {
  struct Closes : StreamRequestHandler {
    void handle() override {
      wfile.write("hi\n");
      if (rfile.readline() == "close\n") {
        server.server_close();
        server.drain(std::chrono::seconds(60));
      }
    }
  };
  TCPServer<Closes> server(loopback());
  std::thread serving([&] { server.serve_forever(); });
  StreamClient first(server.server_address());
  CHECK(first.read_line() == "hi\n");
  StreamClient second(server.server_address());
  first.send("close\n");
  CHECK(second.read_line() == "hi\n");
  second.close();
  serving.join();
}

TEST_CASE("shutdown before serving does not wait, and is not forgotten") {
  TCPServer<Echo> server(loopback());
  server.shutdown();
  server.serve_forever();
  CHECK(server.state() == ServerState::stopped);
}

TEST_CASE("shutdown does not wait for the next poll") {
  TCPServer<Echo> server(loopback());
  std::thread thread([&] { server.serve_forever(std::chrono::hours(1)); });
  server.shutdown();
  thread.join();
}

TEST_CASE("shutdown by many threads at once, a thousand times") {
  for (int i = 0; i < 1000; ++i) {
    TCPServer<Echo> server(loopback());
    std::thread serving([&] { server.serve_forever(); });
    std::thread first([&] { server.shutdown(); });
    std::thread second([&] { server.shutdown(); });
    first.join();
    second.join();
    serving.join();
  }
}

/// A handler that stops its own server in the way that the client names.
struct Stopper : StreamRequestHandler {
  void handle() override {
    const std::string how(*rfile.readline());
    if (how == "shutdown\n") server.shutdown();
    if (how == "close\n") server.server_close();
    if (how == "drain\n") server.drain(patience);
    wfile.write("told\n");
  }
};

template <class Server>
void stop_from_handler(const char* how) {
  Server server(loopback());
  std::thread thread([&] { server.serve_forever(); });
  StreamClient client(server.server_address());
  client.send(how);
  CHECK(client.read_line() == "told\n");
  thread.join();
  client.close();
  if (std::string_view(how) == "close\n") CHECK(server.fileno() == -1);
}

TEST_CASE("a handler can stop its server without waiting for itself") {
  for (const char* how : {"shutdown\n", "close\n", "drain\n"}) {
    stop_from_handler<TCPServer<Stopper>>(how);
    stop_from_handler<ThreadingTCPServer<Stopper>>(how);
  }
}

TEST_CASE("serve_forever by a second thread is refused") {
  TCPServer<Echo> server(loopback());
  ServerThread background(server);
  CHECK(eventually([&] { return server.state() == ServerState::serving; }));
  CHECK_THROWS_WITH_AS(server.serve_forever(), doctest::Contains("another thread serves"), std::logic_error);
}

TEST_CASE("server_close during serve_forever ends it, without a spin or a wait") {
  TCPServer<Echo> server(loopback());
  std::thread thread([&] { server.serve_forever(); });
  server.server_close();
  thread.join();
  CHECK(server.fileno() == -1);
  CHECK(server.stats().accept_errors == 0);
}

TEST_CASE("drain takes what the backlog holds and then refuses") {
  const auto check = [](auto& server, bool running) {
    std::optional<ServerThread> background;
    if (running) background.emplace(server);
    std::vector<StreamClient> clients;
    for (int i = 0; i < 40; ++i) {
      clients.emplace_back(server.server_address());
      clients.back().send("hello\n");
      clients.back().shutdown_write();
    }
    const Address address = server.server_address();
    const DrainResult result = server.drain(patience);
    CHECK(result.aborted == 0);
    CHECK(result.remaining == 0);
    for (StreamClient& client : clients) CHECK(client.read_all() == "hello\n");
    CHECK_THROWS(StreamClient(address));
    CHECK(server.state() == ServerState::stopped);
    CHECK(server.stats().accepted == 40);
  };
  SUBCASE("one at a time, while serving") {
    TCPServer<Echo> server(loopback());
    check(server, true);
  }
  SUBCASE("one at a time, never served") {
    TCPServer<Echo> server(loopback());
    check(server, false);
  }
  SUBCASE("threads") {
    ThreadingTCPServer<Echo> server(loopback());
    server.max_threads = 3;
    check(server, false);
  }
  SUBCASE("processes") {
    ForkingTCPServer<Echo> server(loopback());
    server.max_children = 3;
    check(server, true);
  }
}

TEST_CASE("drain on a server that never served, with a knob that makes no sense, says so and leaves the backlog") {
  Lines lines;
  const auto drain = [](AbstractServer& server) {
    const StreamClient client(server.server_address());
    const DrainResult result = server.drain(patience);
    CHECK(result.aborted == 0);
    CHECK(result.remaining == 0);
    CHECK(server.stats().accepted == 0);
    CHECK(server.state() == ServerState::stopped);
  };
  SUBCASE("FiberMixIn") {
    FiberTCPServer<Echo> server(loopback(), {.log = lines.sink()});
    server.loops = 0;
    drain(server);
    CHECK(lines.mention("loops is 0"));
  }
  SUBCASE("ThreadPoolMixIn") {
    ThreadPoolTCPServer<Echo> server(loopback(), {.log = lines.sink()});
    server.pool_size = 0;
    drain(server);
    CHECK(lines.mention("pool_size is 0"));
  }
}

TEST_CASE("drain wakes a handler that waits, with an ordinary error or the end of the stream") {
  static std::atomic<int> ended;
  ended = 0;
  struct Waits : StreamRequestHandler {
    void handle() override {
      wfile.write("waiting\n");
      if (!rfile.readline()) ++ended;
    }
  };
  ThreadingTCPServer<Waits> server(loopback());
  ServerThread background(server);
  StreamClient first(server.server_address());
  StreamClient second(server.server_address());
  CHECK(first.read_line() == "waiting\n");
  CHECK(second.read_line() == "waiting\n");
  const DrainResult result = server.drain(std::chrono::milliseconds(0));
  CHECK(result.aborted == 2);
  CHECK(result.remaining == 0);
  CHECK(ended == 2);
}

TEST_CASE("drain and server_close at the same time, by several threads, for streams and datagrams") {
  const auto end_it = [](AbstractServer& server) {
    std::vector<std::thread> threads;
    threads.emplace_back([&] { server.drain(patience); });
    threads.emplace_back([&] { server.drain(std::chrono::milliseconds(1)); });
    threads.emplace_back([&] { server.server_close(); });
    threads.emplace_back([&] { server.shutdown(); });
    for (std::thread& thread : threads) thread.join();
    CHECK(server.fileno() == -1);
    CHECK(server.state() == ServerState::stopped);
    CHECK(server.stats().accept_errors == 0);
  };
  for (int i = 0; i < 100; ++i) {
    UDPServer<EchoPacket> datagrams(loopback());
    end_it(datagrams);
    ThreadingTCPServer<Echo> streams(loopback());
    StreamClient client(streams.server_address());
    client.shutdown_write();
    end_it(streams);
  }
}

TEST_CASE("serving that begins while the server is being closed ends at once, without an error") {
  for (int i = 0; i < 1000; ++i) {
    TCPServer<Echo> server(loopback());
    std::thread closing([&] { server.server_close(); });
    CHECK_NOTHROW(server.serve_forever());
    closing.join();
  }
}

TEST_CASE("handle_request is serving: shutdown waits for it, and a second thread is refused") {
  struct Slow : StreamRequestHandler {
    void handle() override {
      wfile.write("serving\n");
      rfile.readline();
    }
  };
  TCPServer<Slow> server(loopback());
  StreamClient client(server.server_address());
  std::atomic<bool> served = false;
  std::thread serving([&] {
    server.handle_request();
    served = true;
  });
  CHECK(client.read_line() == "serving\n");
  CHECK_THROWS_AS(server.handle_request(), std::logic_error);
  std::thread stopping([&] { server.shutdown(); });
  CHECK_FALSE(served);
  client.send("go\n");
  stopping.join();
  serving.join();
}

TEST_CASE("drain reports a hook that keeps the serving thread, although there is no request") {
  static std::atomic<bool> inside;
  static std::atomic<bool> go;
  inside = go = false;
  struct Stuck : TCPServer<Echo> {
    using TCPServer::TCPServer;
    ~Stuck() override { server_close(); }
    void service_actions() override {
      inside = true;
      while (!go) std::this_thread::yield();
    }
  };
  Stuck server(loopback());
  StreamClient client(server.server_address());
  client.shutdown_write();
  ServerThread background(server);
  CHECK(eventually([] { return inside.load(); }));
  CHECK(server.drain(std::chrono::milliseconds(1)).remaining == 1);
  go = true;
}

TEST_CASE("an outside event loop can serve by fileno and handle_request") {
  TCPServer<Echo> server(loopback());
  StreamClient client(server.server_address());
  client.send("hello\n");
  client.shutdown_write();
  pollfd readable{server.fileno(), POLLIN, 0};
  REQUIRE(::poll(&readable, 1, -1) == 1);
  server.handle_request();
  CHECK(client.read_all() == "hello\n");
}

TEST_CASE("errors of hooks and of handle_error are survived, and close the request") {
  struct Server : TCPServer<Echo> {
    explicit Server(std::vector<std::string>& lines)
        : TCPServer(loopback(), {.log = [&lines](LogLevel, std::string_view line) { lines.emplace_back(line); }}) {}
    bool verify_request(Connection&, const Address&) override { throw std::runtime_error("from verify_request"); }
    void handle_error(const Address&, std::exception_ptr) override { throw std::runtime_error("from handle_error"); }
  };
  std::vector<std::string> lines;
  Server server(lines);
  StreamClient client(server.server_address());
  CHECK_NOTHROW(server.handle_request());
  CHECK(client.read_all().empty());
  REQUIRE(lines.size() == 1);
  CHECK(lines[0].find("from verify_request") != std::string::npos);
  CHECK(lines[0].find("from handle_error") != std::string::npos);
  CHECK(server.stats().handler_errors == 1);
}

TEST_CASE("the default handle_error: a block for an error, one line for a peer that has gone") {
  struct Fails : StreamRequestHandler {
    void handle() override {
      if (*rfile.readline() == "error\n") throw std::runtime_error("the reason");
      error_code reset(ECONNRESET, boost::system::system_category());
      throw peer_gone_error(reset, "recv");
    }
  };
  std::vector<std::pair<LogLevel, std::string>> lines;
  TCPServer<Fails> server(loopback(),
                          {.log = [&](LogLevel level, std::string_view line) { lines.emplace_back(level, line); }});
  for (const char* what : {"error\n", "gone\n"}) {
    StreamClient client(server.server_address());
    client.send(what);
    server.handle_request();
  }
  REQUIRE(lines.size() == 2);
  CHECK(lines[0].first == LogLevel::error);
  CHECK(lines[0].second.find("std::runtime_error: the reason") != std::string::npos);
  CHECK(lines[0].second.find("127.0.0.1:") != std::string::npos);
  CHECK(lines[1].first == LogLevel::info);
  CHECK(lines[1].second.find('\n') == std::string::npos);
  CHECK(server.stats().handler_errors == 1);
  CHECK(server.stats().peers_gone == 1);
}

TEST_CASE("every descriptor is close-on-exec, in the handler too") {
  static std::vector<int> before;
  static std::string open_to_children;
  struct Look : StreamRequestHandler {
    void handle() override {
      for (const int descriptor : open_descriptors()) {
        if (std::find(before.begin(), before.end(), descriptor) != before.end()) continue;
        if ((::fcntl(descriptor, F_GETFD) & FD_CLOEXEC) == 0) open_to_children += std::to_string(descriptor) + " ";
      }
    }
  };
  before = open_descriptors();
  open_to_children.clear();
  ForkingTCPServer<Look> forking(loopback());
  ThreadingTCPServer<Look> threading(loopback());
  TCPServer<Look> server(loopback());
  StreamClient client(server.server_address());
  server.handle_request();
  CHECK(open_to_children.empty());
}

template <class Server>
struct Forgetful : Server {
  Forgetful() : Server(loopback()) {}
};

template <class Server>
void check_forgetting_is_loud() {
  const auto [status, text] = in_child([] {
    Forgetful<Server> server;
    StreamClient client(server.server_address());
    server.handle_request();
    client.read_line();
    server.~Forgetful();
  });
  CHECK(WIFSIGNALED(status));
  CHECK(WTERMSIG(status) == SIGABRT);
  CHECK(text.find("Forgetful<") != std::string::npos);
  CHECK(text.find("is destroyed while it serves") != std::string::npos);
  CHECK(text.find("server_close()") != std::string::npos);
}

TEST_CASE("a subclass that forgets server_close in its destructor ends with a message, not with undefined behaviour") {
  SUBCASE("ThreadingMixIn") { check_forgetting_is_loud<ThreadingTCPServer<Lingers>>(); }
  SUBCASE("ThreadPoolMixIn") { check_forgetting_is_loud<ThreadPoolTCPServer<Lingers>>(); }
  SUBCASE("FiberMixIn") { check_forgetting_is_loud<FiberTCPServer<Lingers>>(); }
}

TEST_CASE("stats count what came and what went wrong") {
  TCPServer<Echo> server(loopback());
  StreamClient client(server.server_address());
  client.shutdown_write();
  server.handle_request();
  const ServerStats stats = server.stats();
  CHECK(stats.accepted == 1);
  CHECK(stats.handler_errors == 0);
  CHECK(stats.peers_gone == 0);
  CHECK(stats.accept_errors == 0);
}

}  // namespace
