/// What happens when a program gets a thousand signals a second, each of which interrupts system calls.

#include <doctest/doctest.h>
#include <signal.h>
#include <sys/time.h>

#include <atomic>
#include <sockserv.hpp>

#include "support/support.hpp"

namespace {

using namespace sockserv;
using namespace support;

/// How many signals there were, in all processes.
std::atomic<int>& signals() {
  static const Shared<std::atomic<int>> count;
  return *count;
}

/// Sends SIGALRM to this process repeatedly; forked children do not inherit that.
void send_signals(std::chrono::microseconds interval) {
  const timeval pause{0, interval.count()};
  const itimerval timer{pause, pause};
  REQUIRE(::setitimer(ITIMER_REAL, &timer, nullptr) == 0);
}

/// Signals in this process that interrupt what it does, instead of being restarted.
class Storm {
 public:
  Storm() {
    signals() = 0;
    struct sigaction interrupt{};
    interrupt.sa_handler = [](int) { ++signals(); };
    ::sigaction(SIGALRM, &interrupt, &before_);
    send_signals(1ms);
  }
  Storm(const Storm&) = delete;
  Storm& operator=(const Storm&) = delete;
  ~Storm() {
    send_signals(0ms);
    ::sigaction(SIGALRM, &before_, nullptr);
  }

 private:
  struct sigaction before_{};
};

/// Echoes lines, and reads and writes more than fits into the buffers of a socket.
struct EchoInAStorm : StreamRequestHandler {
  void setup() override {
    StreamRequestHandler::setup();
    send_signals(1ms);
  }
  void handle() override {
    while (const auto line = rfile.readline(4 << 20)) {
      this_request::sleep_for(2ms);
      wfile.write(*line);
    }
  }
};

TEST_CASE_TEMPLATE("a thousand signals a second disturb no conversation", Server, TCPServer<EchoInAStorm>,
                   ThreadingTCPServer<EchoInAStorm>, ThreadPoolTCPServer<EchoInAStorm>, ForkingTCPServer<EchoInAStorm>,
                   FiberTCPServer<EchoInAStorm>, PreForkingTCPServer<EchoInAStorm>,
                   PreForkingFiberTCPServer<EchoInAStorm>) {
  const Storm storm;
  Server server(loopback());
  const ServerThread background(server);
  const std::string large = pattern(2 << 20) + "\n";
  for (int round = 0; round < 3 || signals() < 200; ++round) {
    StreamClient client(server.server_address());
    for (const std::string& line : {std::string("hello\n"), large, std::string("bye\n")}) {
      client.send(line);
      CHECK((client.read_line() == line));
    }
    client.shutdown_write();
    CHECK(client.read_all().empty());
  }
  CHECK(server.drain(patience).aborted == 0);
  CHECK(server.stats().handler_errors == 0);
  CHECK(server.stats().accept_errors == 0);
}

}  // namespace
