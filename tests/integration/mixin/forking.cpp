#include <sockserv/mixin/forking.hpp>  // first, to test that it is self-contained

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <csignal>
#include <cstdio>
#include <iostream>
#include <optional>
#include <sockserv.hpp>
#include <thread>

#include "support/serving.hpp"
#include "support/support.hpp"

namespace {

using namespace sockserv;
using namespace support;

TEST_CASE("the child has only what it needs, and no listener") {
  struct Look : StreamRequestHandler {
    void handle() override {
      wfile.write(std::to_string(server.fileno()) + " " + std::to_string(open_descriptors().size()));
    }
  };
  const std::size_t outside = open_descriptors().size();
  ForkingTCPServer<Look> server(loopback());
  StreamClient client(server.server_address());
  server.handle_request();
  // Besides what was open before the server: the client's end (it lives in this process too), the connection, and two
  // eventfds that tell it when the server stops.
  CHECK(client.read_all() == "-1 " + std::to_string(outside + 4));
  server.server_close();
}

/// Has another process than this one send the signal.
void have_sent(pid_t process, int signal) {
  const pid_t sender = ::fork();
  if (sender == 0) ::_exit(::kill(process, signal) == 0 ? 0 : 1);
  int status = -1;
  ::waitpid(sender, &status, 0);
  CHECK(status == 0);
}

TEST_CASE("where the parent handles SIGTERM, a child ends only if its parent sends it") {
  const auto before = ::signal(SIGTERM, [](int) {});
  ForkingTCPServer<Echo> server(loopback(), quiet());
  StreamClient client(server.server_address());
  server.handle_request();  // no thread: ThreadSanitizer passes no signals on to children of several threads
  const auto still_serves = [&] {
    client.send("hello\n");
    return client.read_line() == "hello\n";
  };
  CHECK(still_serves());
  REQUIRE(server.active_children().size() == 1);
  const pid_t child = *server.active_children().begin();
  have_sent(child, SIGTERM);
  CHECK(still_serves());
  ::kill(child, SIGTERM);
  CHECK(client.read_all().empty());
  server.server_close();
  CHECK(server.active_children().empty());
  ::signal(SIGTERM, before);
}

TEST_CASE("where the parent does not handle SIGTERM, anybody can end a child by it") {
  const auto before = ::signal(SIGTERM, SIG_DFL);
  ForkingTCPServer<Echo> server(loopback(), quiet());
  StreamClient client(server.server_address());
  server.handle_request();
  client.send("hello\n");
  CHECK(client.read_line() == "hello\n");
  REQUIRE(server.active_children().size() == 1);
  have_sent(*server.active_children().begin(), SIGTERM);
  CHECK(client.read_all().empty());
  server.server_close();
  ::signal(SIGTERM, before);
}

TEST_CASE("a process that a child forks ends by SIGTERM, although the child does not") {
  struct Forks : StreamRequestHandler {
    void handle() override {
      const pid_t grandchild = ::fork();
      if (grandchild == 0) {
        for (;;) ::pause();
      }
      have_sent(grandchild, SIGTERM);
      int status = 0;
      ::waitpid(grandchild, &status, 0);
      wfile.write(WIFSIGNALED(status) ? "ended" : "exited");
    }
  };
  const auto before = ::signal(SIGTERM, [](int) {});
  ForkingTCPServer<Forks> server(loopback(), quiet());
  StreamClient client(server.server_address());
  server.handle_request();
  CHECK(client.read_all() == "ended");
  server.server_close();
  ::signal(SIGTERM, before);
}

TEST_CASE("the child ignores SIGINT only if the parent handles it") {
  struct Look : StreamRequestHandler {
    void handle() override {
      struct sigaction interrupt{};
      ::sigaction(SIGINT, nullptr, &interrupt);
      wfile.write(interrupt.sa_handler == SIG_IGN   ? "ignored"
                  : interrupt.sa_handler == SIG_DFL ? "default"
                                                    : "handled");
    }
  };
  ForkingTCPServer<Look> server(loopback());
  const auto what_a_child_does = [&] {
    StreamClient client(server.server_address());
    server.handle_request();
    return client.read_all();
  };
  const auto before = ::signal(SIGINT, SIG_DFL);
  CHECK(what_a_child_does() == "default");
  ::signal(SIGINT, [](int) {});
  CHECK(what_a_child_does() == "ignored");
  ::signal(SIGINT, before);
  server.server_close();
}

TEST_CASE("a child with an idle client ends with its server, whichever way that has served and is stopped") {
  struct Polite : StreamRequestHandler {
    void handle() override {
      while (wait_for_next_request()) wfile.write(*rfile.readline());
    }
  };
  ForkingTCPServer<Polite> server(loopback());
  StreamClient client(server.server_address());
  server.handle_request();
  client.send("hello\n");
  CHECK(client.read_line() == "hello\n");
  server.server_close();
  CHECK(client.read_all().empty());
  CHECK(server.active_children().empty());
}

TEST_CASE("the child's status says whether the handler succeeded") {
  struct Obeys : StreamRequestHandler {
    void handle() override {
      if (*rfile.readline() == "fail\n") throw std::runtime_error("as told");
    }
  };
  const auto status_of = [](const char* command) {
    ForkingTCPServer<Obeys> server(loopback(), quiet());
    StreamClient client(server.server_address());
    server.handle_request();
    const auto children = server.active_children();
    REQUIRE(children.size() == 1);
    client.send(command);
    siginfo_t end{};  // looks at the status and leaves the child to its server
    REQUIRE(::waitid(P_PID, static_cast<id_t>(*children.begin()), &end, WEXITED | WNOWAIT) == 0);
    CHECK(end.si_code == CLD_EXITED);
    return end.si_status;
  };
  CHECK(status_of("succeed\n") == 0);
  CHECK(status_of("fail\n") == 1);
}

TEST_CASE("the parent counts what goes wrong in its children") {
  struct Fails : StreamRequestHandler {
    void handle() override {
      if (*rfile.readline() == "fail\n") throw std::runtime_error("as told");
      throw peer_gone_error(error_code(ECONNRESET, boost::system::system_category()), "recv");
    }
  };
  ForkingTCPServer<Fails> server(loopback(), quiet());
  for (const char* what : {"fail\n", "fail\n", "gone\n"}) {
    StreamClient client(server.server_address());
    client.send(what);
    server.handle_request();
    CHECK(client.read_all().empty());
  }
  server.server_close();
  CHECK(server.stats().accepted == 3);
  CHECK(server.stats().handler_errors == 2);
  CHECK(server.stats().peers_gone == 1);
}

TEST_CASE("what is buffered for standard output is written once, and the child's own is written too") {
  struct Prints : StreamRequestHandler {
    void handle() override { std::fputs("child ", stdout); }
  };
  const TemporaryFolder folder;
  std::fflush(stdout);
  const int original = ::dup(STDOUT_FILENO);
  const int file = ::open((folder / "out").c_str(), O_CREAT | O_RDWR | O_CLOEXEC | O_APPEND, 0600);
  ::dup2(file, STDOUT_FILENO);
  std::fputs("parent ", stdout);
  {
    ForkingTCPServer<Prints> server(loopback());
    StreamClient client(server.server_address());
    server.handle_request();
    server.server_close();
  }
  std::fflush(stdout);
  ::dup2(original, STDOUT_FILENO);
  ::close(original);
  std::array<char, 100> text{};
  const ssize_t count = ::pread(file, text.data(), text.size(), 0);
  ::close(file);
  CHECK(std::string_view(text.data(), static_cast<std::size_t>(count)) == "parent child ");
}

TEST_CASE("notify_fork is called around each fork, as Asio's contexts need it") {
  using boost::asio::execution_context;
  static const Shared<std::array<std::atomic<int>, 3>> calls;
  struct Nothing : StreamRequestHandler {
    void handle() override {}
  };
  struct Notified : ForkingTCPServer<Nothing> {
    Notified() : ForkingTCPServer<Nothing>(loopback()) {}
    ~Notified() override { server_close(); }
    void notify_fork(execution_context::fork_event event) override {
      context.notify_fork(event);
      ++(*calls)[event];
    }
    boost::asio::io_context context;
  };
  Notified server;
  StreamClient client(server.server_address());
  server.handle_request();
  CHECK(client.read_all().empty());
  server.server_close();
  CHECK((*calls)[execution_context::fork_prepare] == 1);
  CHECK((*calls)[execution_context::fork_parent] == 1);
  CHECK((*calls)[execution_context::fork_child] == 1);
}

TEST_CASE("max_children 0 is refused before serving") {
  struct Nothing : StreamRequestHandler {
    void handle() override {}
  };
  ForkingTCPServer<Nothing> server(loopback());
  server.max_children = 0;
  CHECK_THROWS_WITH_AS(server.serve_forever(), doctest::Contains("max_children"), std::invalid_argument);
}

TEST_CASE("children are reaped where the program ignores SIGCHLD or reaps them itself") {
  struct Nothing : StreamRequestHandler {
    void handle() override {}
  };
  ForkingTCPServer<Nothing> server(loopback());
  const auto old = ::signal(SIGCHLD, SIG_IGN);
  for (int i = 0; i < 3; ++i) {
    StreamClient client(server.server_address());
    server.handle_request();
    CHECK(client.read_all().empty());
  }
  server.collect_children(true);
  CHECK(server.active_children().empty());
  ::signal(SIGCHLD, old);

  StreamClient client(server.server_address());
  server.handle_request();
  CHECK(client.read_all().empty());
  const pid_t child = *server.active_children().begin();
  CHECK(::waitpid(child, nullptr, 0) == child);
  server.collect_children(true);
  CHECK(server.active_children().empty());
}

TEST_CASE("several threads may wait for the last child, whoever reaps it") {
  struct Nothing : StreamRequestHandler {
    void handle() override { rfile.readline(); }
  };
  for (int i = 0; i < 20; ++i) {
    ForkingTCPServer<Nothing> server(loopback());
    StreamClient client(server.server_address());
    server.handle_request();
    std::thread first([&] { server.collect_children(true); });
    std::thread second([&] { server.collect_children(true); });
    client.send("go\n");
    first.join();
    second.join();
    CHECK(server.active_children().empty());
  }
}

TEST_CASE("a program without a standard output, and one that keeps its own buffers, can fork") {
  struct Prints : StreamRequestHandler {
    void handle() override { wfile.write("hello\n"); }
  };
  std::streambuf* const original = std::cout.rdbuf(nullptr);
  {
    ForkingTCPServer<Prints> server(loopback());
    StreamClient client(server.server_address());
    server.handle_request();
    CHECK(client.read_all() == "hello\n");
    server.server_close();
  }
  std::cout.rdbuf(original);
}

TEST_CASE("a subclass that does not wait for its children can be destroyed while they run") {
  struct Nothing : StreamRequestHandler {
    void handle() override { rfile.readline(); }
  };
  struct Careless : ForkingTCPServer<Nothing> {
    Careless() : ForkingTCPServer<Nothing>(loopback()) { block_on_close = false; }
    ~Careless() override { server_close(); }
  };
  pid_t child = 0;
  std::optional<StreamClient> client;
  {
    Careless server;
    client.emplace(server.server_address());
    server.handle_request();
    child = *server.active_children().begin();
    server.server_close();
  }
  client.reset();
  CHECK(::waitpid(child, nullptr, 0) == child);
}

TEST_CASE("SIGTERM ends a child even if the program blocks it") {
  struct Waits : StreamRequestHandler {
    void handle() override {
      request.sendall("ready\n");
      for (;;) ::pause();
    }
  };
  sigset_t term;
  sigset_t before;
  sigemptyset(&term);
  sigaddset(&term, SIGTERM);
  ::pthread_sigmask(SIG_BLOCK, &term, &before);
  {
    ForkingTCPServer<Waits> server(loopback());
    StreamClient client(server.server_address());
    server.handle_request();
    CHECK(client.read_line() == "ready\n");
    siginfo_t end{};
    const pid_t child = *server.active_children().begin();
    ::kill(child, SIGTERM);
    REQUIRE(::waitid(P_PID, static_cast<id_t>(child), &end, WEXITED | WNOWAIT) == 0);
    CHECK(end.si_code == CLD_KILLED);
    CHECK(end.si_status == SIGTERM);
    server.server_close();
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

TEST_CASE("a child that ignores SIGTERM is killed in the end") {
  struct Stubborn : StreamRequestHandler {
    void handle() override {
      ::signal(SIGTERM, SIG_IGN);
      request.sendall("ready\n");
      for (;;) ::pause();
    }
  };
  ForkingTCPServer<Stubborn> server(loopback());
  ServerThread background(server);
  StreamClient client(server.server_address());
  CHECK(client.read_line() == "ready\n");
  const DrainResult result = server.drain(10ms);
  CHECK(result.aborted == 1);
  CHECK(result.remaining == 0);
  CHECK(server.active_children().empty());
}

TEST_CASE("a drain that nobody serves forks in the thread that asks for it, and keeps its limit there") {
  struct Observed : ForkingTCPServer<Lingers> {
    Observed() : ForkingTCPServer<Lingers>(loopback()) { max_children = 1; }
    ~Observed() override { server_close(); }
    void notify_fork(boost::asio::execution_context::fork_event) override { forking = std::this_thread::get_id(); }
    std::thread::id forking;
  };
  Observed server;
  StreamClient first(server.server_address());
  StreamClient second(server.server_address());  // for which there is no room as long as the first one is served
  const DrainResult result = server.drain(100ms);
  CHECK(server.forking == std::this_thread::get_id());
  CHECK(result.aborted == 1);
  CHECK(result.remaining == 0);
  CHECK(first.read_line() == "here\n");
}

TEST_CASE("a request that is being forked for counts once") {
  struct Counting : ForkingTCPServer<Echo> {
    using ForkingTCPServer<Echo>::ForkingTCPServer;
    ~Counting() override { server_close(); }
    void close_request(Connection& request) override {
      if (::getpid() == parent) running = requests_running();
      ForkingTCPServer<Echo>::close_request(request);
    }
    const pid_t parent = ::getpid();
    std::size_t running = 0;
  };
  Counting server(loopback());
  StreamClient client(server.server_address());
  server.handle_request();
  CHECK(server.running == 1);
  client.close();
}

}  // namespace
