#include <sockserv/run.hpp>  // first, to test that it is self-contained

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <sockserv.hpp>

#include "support/support.hpp"

namespace {

using namespace sockserv;
using namespace support;

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

/// A program that runs a server on a Unix path, in a process of its own.
class Program {
 public:
  template <class Server>
  static Program start(const std::string& path, const RunOptions& options) {
    const pid_t child = ::fork();
    if (child == 0) {
      ::setpgid(0, 0);
      // The subject must end by itself whatever becomes of this test.
      ::alarm(static_cast<unsigned>(patience.count()));
      ::signal(SIGTERM, SIG_DFL);
      ::signal(SIGINT, SIG_DFL);
      Server server(path, quiet());
      ::_exit(run(server, options));
    }
    CHECK(eventually([&] { return std::filesystem::is_socket(path); }));
    return Program(child);
  }

  void signal(int number) const { ::kill(child_, number); }
  /// Sends it to all processes of the program, as a terminal does, or a service manager.
  void signal_all(int number) const { ::kill(-child_, number); }

  /// Its exit status, or minus the signal that ended it.
  int wait() const {
    int status = 0;
    ::waitpid(child_, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }

 private:
  explicit Program(pid_t child) : child_(child) {}
  pid_t child_;
};

/// Connects once the program listens: its path appears between bind and listen.
StreamClient connect_to(const std::string& path) {
  std::optional<StreamClient> client;
  eventually([&] {
    try {
      client.emplace(Address(path));
      return true;
    } catch (const std::system_error&) {
      return false;
    }
  });
  return std::move(client.value());
}

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
  drains_and_ends<PreForkingUnixStreamServer<Hold>>(SIGINT, &Program::signal_all);
  drains_and_ends<PreForkingUnixStreamServer<Hold>>(SIGTERM, &Program::signal_all);
}

template <class Server>
void is_forced() {
  const TemporaryFolder folder;
  const Program program = Program::start<Server>(folder / "socket", {.drain_limit = 10ms});
  StreamClient client = connect_to(folder / "socket");
  CHECK(client.read_line() == "here\n");
  program.signal(SIGTERM);
  CHECK(program.wait() == exit_forced);
  CHECK_FALSE(std::filesystem::exists(folder / "socket"));
}

TEST_CASE("a drain that has to be forced ends the program with 75") {
  is_forced<UnixStreamServer<Hold>>();
  is_forced<ThreadingUnixStreamServer<Hold>>();
  is_forced<ForkingUnixStreamServer<Hold>>();
  is_forced<PreForkingUnixStreamServer<Hold>>();
}

TEST_CASE("a handler that cannot be cut off does not keep the program") {
  const TemporaryFolder folder;
  const Program program =
      Program::start<ThreadingUnixStreamServer<ComputeForEver>>(folder / "socket", {.drain_limit = 10ms});
  StreamClient client = connect_to(folder / "socket");
  CHECK(client.read_line() == "here\n");
  program.signal(SIGTERM);
  CHECK(program.wait() == exit_forced);
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
  CHECK(run(server, {.on_ready = [&] { ready = server.state() == ServerState::created; }}) == exit_clean);
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
