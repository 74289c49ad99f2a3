/// What happens when a worker is stopped by SIGSTOP, or by whatever else keeps a process from running.

#include <doctest/doctest.h>
#include <signal.h>
#include <unistd.h>

#include <fstream>
#include <sockserv.hpp>
#include <string>

#include "support/support.hpp"

namespace {

using namespace sockserv;
using namespace support;

struct NamesItsWorker : StreamRequestHandler {
  void handle() override {
    for ([[maybe_unused]] const std::string_view line : rfile) wfile.write(std::to_string(::getpid()) + "\n");
  }
};

/// A server of two workers, one of which is frozen while it serves a client.
struct OneOfTwo {
  PreForkingTCPServer<NamesItsWorker> server{loopback(), quiet()};
  std::optional<ServerThread> background;
  std::optional<StreamClient> stuck;
  pid_t frozen = 0;

  OneOfTwo() {
    server.processes = 2;
    background.emplace(server);
    stuck.emplace(server.server_address());
    stuck->send("who?\n");
    frozen = std::stoi(stuck->read_line());
    ::kill(frozen, SIGSTOP);
    CHECK(eventually([&] { return state() == 'T'; }));
  }
  ~OneOfTwo() { ::kill(frozen, SIGCONT); }

  char state() const {
    std::string stat;
    std::getline(std::ifstream("/proc/" + std::to_string(frozen) + "/stat"), stat);
    return stat.at(stat.rfind(')') + 2);
  }
};

TEST_CASE("a worker is frozen: its client waits, the other workers serve, and it goes on when it can") {
  OneOfTwo two;
  two.stuck->send("and now?\n");
  for (int i = 0; i < 10; ++i) {
    StreamClient client(two.server.server_address());
    client.send("who?\n");
    CHECK(client.read_line() != std::to_string(two.frozen) + "\n");
  }
  CHECK(two.state() == 'T');
  ::kill(two.frozen, SIGCONT);
  CHECK(two.stuck->read_line() == std::to_string(two.frozen) + "\n");
}

TEST_CASE("a drain kills a worker that is frozen, and counts its request") {
  OneOfTwo two;
  CHECK(two.server.drain(10ms).aborted == 1);
  CHECK(two.server.active_children().empty());
  CHECK_FALSE(has_children());
}

}  // namespace
