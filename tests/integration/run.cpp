#include <sockserv/run.hpp>  // first, to test that it is self-contained

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <sockserv.hpp>
#include <thread>

#include "base/sanitized.hpp"
#include "program.hpp"
#include "support/support.hpp"

namespace {

using namespace sockserv;
using namespace support;
using program::connect_to;
using program::Program;

struct Hold : StreamRequestHandler {
  void handle() override {
    wfile.write("here\n");
    while (rfile.readline()) wfile.write("still here\n");
  }
};

struct ComputeForEver : StreamRequestHandler {
  void handle() override {
    wfile.write("here\n");
    for (volatile bool on = true; on;) ::usleep(1000);
  }
};

template <class Server>
void drains_and_ends(int signal, void (Program::*send)(int) const = &Program::signal) {
  const TemporaryFolder folder;
  const Program program = Program::start<Server>(folder / "socket", {.drain_limit = patience});
  StreamClient client = connect_to(folder / "socket");
  CHECK(client.read_line() == "here\n");
  (program.*send)(signal);
  // No more clients are taken, and this one is served to its end.
  CHECK(eventually([&] { return !std::filesystem::exists(folder / "socket"); }));
  client.send("more\n");
  CHECK(client.read_line() == "still here\n");
  client.shutdown_write();
  CHECK(client.read_all().empty());
  CHECK(program.wait() == exit_clean);
}

TEST_CASE("a signal drains the server, and the program ends with 0") {
  drains_and_ends<ThreadingUnixStreamServer<Hold>>(SIGTERM);
  drains_and_ends<ThreadingUnixStreamServer<Hold>>(SIGINT);
  drains_and_ends<ForkingUnixStreamServer<Hold>>(SIGTERM);
  drains_and_ends<PreForkingUnixStreamServer<Hold>>(SIGTERM);
  drains_and_ends<PreForkingUnixStreamServer<Hold>>(SIGINT);
}

TEST_CASE("a signal that goes to all processes of the program drains the server as well") {
  drains_and_ends<ForkingUnixStreamServer<Hold>>(SIGINT, &Program::signal_all);
  drains_and_ends<ForkingUnixStreamServer<Hold>>(SIGTERM, &Program::signal_all);
  drains_and_ends<PreForkingUnixStreamServer<Hold>>(SIGINT, &Program::signal_all);
  drains_and_ends<PreForkingUnixStreamServer<Hold>>(SIGTERM, &Program::signal_all);
}

template <class Server>
void has_to_abort() {
  const TemporaryFolder folder;
  const Program program = Program::start<Server>(folder / "socket", {.drain_limit = 10ms});
  StreamClient client = connect_to(folder / "socket");
  CHECK(client.read_line() == "here\n");
  program.signal(SIGTERM);
  CHECK(program.wait() == exit_aborted);
  CHECK_FALSE(std::filesystem::exists(folder / "socket"));
}

TEST_CASE("a drain that has to abort requests ends the program with 75") {
  has_to_abort<UnixStreamServer<Hold>>();
  has_to_abort<ThreadingUnixStreamServer<Hold>>();
  has_to_abort<ForkingUnixStreamServer<Hold>>();
  has_to_abort<PreForkingUnixStreamServer<Hold>>();
}

TEST_CASE("a handler that cannot be aborted does not keep the program") {
  const TemporaryFolder folder;
  const Program program =
      Program::start<ThreadingUnixStreamServer<ComputeForEver>>(folder / "socket", {.drain_limit = 10ms});
  StreamClient client = connect_to(folder / "socket");
  CHECK(client.read_line() == "here\n");
  program.signal(SIGTERM);
  CHECK(program.wait() == exit_aborted);
}

TEST_CASE("a second signal ends the program at once, with 128 and its number") {
  const TemporaryFolder folder;
  const Program program =
      Program::start<ThreadingUnixStreamServer<Hold>>(folder / "socket", {.drain_limit = std::chrono::hours(1)});
  StreamClient client = connect_to(folder / "socket");
  CHECK(client.read_line() == "here\n");
  program.signal(SIGINT);
  CHECK(eventually([&] { return !std::filesystem::exists(folder / "socket"); }));
  program.signal(SIGTERM);
  CHECK(program.wait() == 128 + SIGTERM);
}

TEST_CASE("run ends with 0 when something else stops the server, and with 1 on an error") {
  struct Stop : StreamRequestHandler {
    void handle() override { server.shutdown(); }
  };
  TCPServer<Stop> server({"127.0.0.1", 0});
  StreamClient client(server.server_address());
  bool ready = false;
  CHECK(run(server, {.on_ready = [&] { ready = server.state() == ServerState::serving; }}) == exit_clean);
  CHECK(ready);
  CHECK(server.fileno() == -1);

  std::string said;
  struct Broken : TCPServer<Stop> {
    using TCPServer::TCPServer;
    void service_actions() override { throw std::runtime_error("broken"); }
  };
  Broken broken({"127.0.0.1", 0}, {.log = [&](LogLevel, std::string_view message) { said = message; }});
  StreamClient visitor(broken.server_address());
  visitor.shutdown_write();
  CHECK(run(broken) == exit_error);
  CHECK(said.find("broken") != std::string::npos);
}

TEST_CASE("on_ready is called when all that serving needs is there, and before the first request") {
  struct Stop : StreamRequestHandler {
    void handle() override { server.request_stop(); }
  };
  FiberTCPServer<Stop> fibers({"127.0.0.1", 0});
  fibers.loops = 3;
  StreamClient client(fibers.server_address());
  const std::size_t before = thread_count();
  std::size_t threads = 0;
  std::uint64_t accepted = 1;
  CHECK(run(fibers, {.on_ready = [&] {
              threads = thread_count() - before;
              accepted = fibers.stats().accepted;
            }}) == exit_clean);
  CHECK(threads == 4);  // three loops, and the thread that drains
  CHECK(accepted == 0);

  const Shared<std::atomic<bool>> worker_is_ready;
  struct Workers : PreForkingMixIn<UnixStreamServer<Stop>> {
    using PreForkingMixIn::PreForkingMixIn;
    void worker_started() override { *is_ready = true; }
    std::atomic<bool>* is_ready = nullptr;
  };
  const TemporaryFolder folder;
  Workers workers(folder / "socket", quiet());
  workers.is_ready = &*worker_is_ready;
  bool was_ready = false;
  CHECK(run(workers, {.on_ready = [&] {
              was_ready = *worker_is_ready;
              workers.request_stop();
            }}) == exit_clean);
  CHECK(was_ready);
}

TEST_CASE("an error of on_ready ends the server with 1, and a worker that fails never calls it") {
  std::string said;
  const LogSink sink = [&](LogLevel, std::string_view message) { said = message; };
  TCPServer<Hold> server({"127.0.0.1", 0}, {.log = sink});
  CHECK(run(server, {.on_ready = [] { throw std::runtime_error("nobody to tell"); }}) == exit_error);
  CHECK(said.find("nobody to tell") != std::string::npos);

  struct Broken : PreForkingMixIn<TCPServer<Hold>> {
    using PreForkingMixIn::PreForkingMixIn;
    void worker_started() override { throw std::runtime_error("no database"); }
  };
  Broken broken({"127.0.0.1", 0}, {.log = sink});
  broken.processes = 1;
  broken.max_early_deaths = 2;
  bool called = false;
  CHECK(run(broken, {.on_ready = [&] { called = true; }}) == exit_error);
  CHECK_FALSE(called);
}

TEST_CASE("a server cannot be run while another one is") {
  struct Nested : StreamRequestHandler {
    void handle() override {
      TCPServer<Hold> another({"127.0.0.1", 0});
      CHECK_THROWS_WITH_AS(sockserv::run(another), doctest::Contains("ServerThread"), std::logic_error);
      server.request_stop();
    }
  };
  TCPServer<Nested> server({"127.0.0.1", 0});
  StreamClient client(server.server_address());
  CHECK(run(server) == exit_clean);
  TCPServer<Nested> next({"127.0.0.1", 0});
  next.request_stop();
  CHECK(run(next) == exit_clean);
}

/// Runs a server in a process that has ignored SIGCHLD, blocked SIGTERM, and lets SIGPIPE end it.
template <class Server>
void heals() {
  const TemporaryFolder folder;
  const std::string path = folder / "socket";
  const pid_t child = ::fork();
  if (child == 0) {
    ::setpgid(0, 0);
    ::alarm(static_cast<unsigned>(patience.count()));
    ::signal(SIGTERM, SIG_DFL);
    ::signal(SIGPIPE, SIG_DFL);
    ::signal(SIGCHLD, SIG_IGN);
    sigset_t blocked;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM);
    ::sigprocmask(SIG_BLOCK, &blocked, nullptr);
    Server server(path, quiet());
    ::_exit(run(server));
  }
  StreamClient client = connect_to(path);
  client.shutdown_write();
  CHECK(client.read_all() == "broken pipe, child killed by SIGPIPE\n");
  ::kill(child, SIGTERM);
  int status = 0;
  ::waitpid(child, &status, 0);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == exit_clean);
}

/// Writes to a pipe without a reader, and runs a program that SIGPIPE ends unless it has inherited that it is ignored.
struct Pipes : StreamRequestHandler {
  void handle() override {
    std::array<int, 2> pipe{};
    if (::pipe(pipe.data()) != 0) return;
    ::close(pipe[0]);
    std::string said = ::write(pipe[1], "x", 1) < 0 && errno == EPIPE ? "broken pipe" : "no error";
    ::close(pipe[1]);
    const int status = std::system("kill -s PIPE $$");  // NOLINT(bugprone-command-processor): what it inherits matters
    said += WIFSIGNALED(status) && WTERMSIG(status) == SIGPIPE ? ", child killed by SIGPIPE\n" : ", child lives on\n";
    wfile.write(said);
  }
};

TEST_CASE("run makes the process safe from what it inherited, and what handlers execute gets its defaults") {
  heals<UnixStreamServer<Pipes>>();
  heals<ThreadingUnixStreamServer<Pipes>>();
  heals<ForkingUnixStreamServer<Pipes>>();
  heals<PreForkingUnixStreamServer<Pipes>>();
  heals<FiberUnixStreamServer<Pipes>>();
}

TEST_CASE("run leaves signals as it found them") {
  struct sigaction before{};
  struct sigaction after{};
  TCPServer<Hold> server({"127.0.0.1", 0});
  server.request_stop();
  for (const int signal : {SIGINT, SIGTERM, SIGPIPE, SIGCHLD}) {
    sigset_t blocked;
    ::sigaction(signal, nullptr, &before);
    run(server);
    ::sigaction(signal, nullptr, &after);
    ::pthread_sigmask(SIG_SETMASK, nullptr, &blocked);
    CHECK((after.sa_handler == before.sa_handler));
    CHECK(sigismember(&blocked, signal) == 0);
  }
}

TEST_CASE("a handler of a signal runs on a stack of its own in a thread that runs fibers") {
  struct Signals : StreamRequestHandler {
    void handle() override {
      struct sigaction action{};
      ::sigaction(SIGTERM, nullptr, &action);
      stack_t stack{};
      ::sigaltstack(nullptr, &stack);
      wfile.write((action.sa_flags & SA_ONSTACK) != 0 && (stack.ss_flags & SS_DISABLE) == 0 ? "on its own\n"
                                                                                            : "here\n");
      server.request_stop();
    }
  };
  FiberTCPServer<Signals> server({"127.0.0.1", 0});
  StreamClient client(server.server_address());
  CHECK(run(server) == exit_clean);
  CHECK(client.read_line() == "on its own\n");
}

TEST_CASE("a second signal ends children too, and the program at once") {
  const TemporaryFolder folder;
  const Program program =
      Program::start<ForkingUnixStreamServer<Hold>>(folder / "socket", {.drain_limit = std::chrono::hours(1)});
  StreamClient client = connect_to(folder / "socket");
  CHECK(client.read_line() == "here\n");
  program.signal(SIGTERM);
  CHECK(eventually([&] { return !std::filesystem::exists(folder / "socket"); }));
  program.signal(SIGTERM);
  CHECK(program.wait() == 128 + SIGTERM);
  CHECK(client.read_all().empty());
}

/// Keeps its serving thread for so long that many signals come before it can react.
struct SlowServer : ForkingMixIn<UnixStreamServer<Hold>> {
  using ForkingMixIn::ForkingMixIn;
  void service_actions() override { std::this_thread::sleep_for(std::chrono::milliseconds(200)); }
};

TEST_CASE("any number of signals at a time leave no child behind") {
  const TemporaryFolder folder;
  const Program program = Program::start<SlowServer>(folder / "socket", {.drain_limit = std::chrono::hours(1)});
  StreamClient client = connect_to(folder / "socket");
  CHECK(client.read_line() == "here\n");
  for (const int signal : {SIGSTOP, SIGINT, SIGTERM, SIGCONT})
    program.signal(signal);  // both are pending when it goes on
  for (int i = 0; i < 1000; ++i) program.signal(SIGTERM);
  const int status = program.wait();
  CHECK((status == 128 + SIGINT || status == 128 + SIGTERM));
  CHECK(client.read_all().empty());
}

/// Keeps its serving thread indefinitely, and tells the client so before.
struct StuckServer : ForkingMixIn<UnixStreamServer<Hold>> {
  using ForkingMixIn::ForkingMixIn;
  bool verify_request(Connection& request, const Address&) override {
    request.sendall("stuck\n");
    for (;;) ::pause();
  }
};

TEST_CASE("a further signal ends a forking server whose hook does not return") {
  const TemporaryFolder folder;
  const Program program = Program::start<StuckServer>(folder / "socket", {.drain_limit = std::chrono::hours(1)});
  StreamClient client = connect_to(folder / "socket");
  CHECK(client.read_line() == "stuck\n");
  CHECK(eventually([&] {
    program.signal(SIGTERM);
    return program.has_ended();
  }));
  CHECK(program.wait() == 128 + SIGTERM);
}

// ThreadSanitizer delivers signals late, not at all in a process that was forked beside threads, and waits for other
// threads when a program exits.
#ifndef SOCKSERV_TSAN

/// Forks, and ends the child as it would any other process.
struct ForksAlone : StreamRequestHandler {
  void handle() override {
    const pid_t child = ::fork();
    if (child == 0) {
      for (;;) ::pause();
    }
    ::kill(child, SIGTERM);
    int status = 0;
    ::waitpid(child, &status, 0);
    wfile.write(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM ? "ended\n" : "not ended\n");
    rfile.readline();
  }
};

template <class Server>
void serves_on_when_a_handler_ends_its_child() {
  const TemporaryFolder folder;
  const Program program = Program::start<Server>(folder / "socket", {});
  StreamClient client = connect_to(folder / "socket");
  CHECK(client.read_line() == "ended\n");
  StreamClient another = connect_to(folder / "socket");
  CHECK(another.read_line() == "ended\n");
  client.shutdown_write();
  another.shutdown_write();
  program.signal(SIGTERM);
  CHECK(program.wait() == exit_clean);
}

TEST_CASE("a signal to a process that a handler forked ends that process, and not the server") {
  serves_on_when_a_handler_ends_its_child<ThreadingUnixStreamServer<ForksAlone>>();
  serves_on_when_a_handler_ends_its_child<PreForkingMixIn<ThreadingMixIn<UnixStreamServer<ForksAlone>>>>();
}

/// Fills standard output, which nobody reads, and so keeps its lock.
struct StuckInOutput : StreamRequestHandler {
  void handle() override {
    wfile.write("here\n");
    for (;;) std::cout << std::string(65536, 'x') << std::flush;
  }
};

TEST_CASE("a handler that is stuck in standard output does not keep the program") {
  const TemporaryFolder folder;
  std::array<int, 2> pipe{};
  REQUIRE(::pipe2(pipe.data(), O_CLOEXEC) == 0);
  const detail::Descriptor reader(pipe[0]);
  const int before = ::dup(STDOUT_FILENO);
  ::dup2(pipe[1], STDOUT_FILENO);
  ::close(pipe[1]);
  const Program program =
      Program::start<ThreadingUnixStreamServer<StuckInOutput>>(folder / "socket", {.drain_limit = 10ms});
  ::dup2(before, STDOUT_FILENO);
  ::close(before);
  StreamClient client = connect_to(folder / "socket");
  CHECK(client.read_line() == "here\n");
  program.signal(SIGTERM);
  CHECK(program.wait() == exit_aborted);
}

#endif

TEST_CASE("ServerThread serves while it lives, and hands on what serve_forever threw") {
  TCPServer<Hold> server({"127.0.0.1", 0});
  {
    ServerThread background(server);
    StreamClient client(server.server_address());
    CHECK(client.read_line() == "here\n");
  }
  CHECK(server.fileno() == -1);

  struct Broken : TCPServer<Hold> {
    using TCPServer::TCPServer;
    void service_actions() override { throw std::runtime_error("broken"); }
  };
  Broken broken({"127.0.0.1", 0});
  ServerThread background(broken);
  StreamClient client(broken.server_address());
  client.close();
  CHECK(eventually([&] { return broken.stats().accepted == 1; }));
  CHECK_THROWS_WITH_AS(background.stop(), "broken", std::runtime_error);
  CHECK_NOTHROW(background.stop());
}

}  // namespace
