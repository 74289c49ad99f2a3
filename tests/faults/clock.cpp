/// What happens to timeouts when somebody sets the clock.

#include <doctest/doctest.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <sockserv.hpp>
#include <thread>

#include "support/support.hpp"

namespace {

using namespace sockserv;
using namespace support;
using std::chrono::steady_clock;

/// By how many seconds the wall clock of this process and its children is wrong.
std::atomic<time_t>& wrong_by() {
  static const Shared<std::atomic<time_t>> seconds;
  return *seconds;
}

std::atomic<bool> clock_is_ours = false;

}  // namespace

// These two take the place of the C library's, in this program only: a deadline that is computed from the wall clock is
// then wrong by an hour, while the kernel keeps the right time.
extern "C" int our_clock_gettime(clockid_t clock, timespec* time) noexcept asm("clock_gettime");
extern "C" int our_gettimeofday(timeval* time, void*) noexcept asm("gettimeofday");

int our_clock_gettime(clockid_t clock, timespec* time) noexcept {
  const long result = ::syscall(SYS_clock_gettime, clock, time);
  if (clock_is_ours && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) time->tv_sec += wrong_by();
  return static_cast<int>(result);
}

int our_gettimeofday(timeval* time, void*) noexcept {
  timespec now{};
  our_clock_gettime(CLOCK_REALTIME, &now);
  *time = {now.tv_sec, now.tv_nsec / 1000};
  return 0;
}

namespace {

/// Sets the wall clock an hour ahead, and back, a thousand times a second.
class JumpingClock {
 public:
  JumpingClock() {
    wrong_by() = 3600;
    clock_is_ours = true;
    thread_ = std::thread([this] {
      while (!stopped_) {
        wrong_by() = -wrong_by();
        std::this_thread::sleep_for(1ms);
      }
    });
  }
  ~JumpingClock() {
    stopped_ = true;
    thread_.join();
    clock_is_ours = false;
  }

 private:
  std::atomic<bool> stopped_ = false;
  std::thread thread_;
};

/// Waits in each way that has a timeout, and says how that ended.
struct Waits : StreamRequestHandler {
  void handle() override {
    const auto start = steady_clock::now();
    const auto reply = [&](std::string_view what, steady_clock::duration least) {
      wfile.write(std::string(what) + (steady_clock::now() - start >= least ? "\n" : " too early\n"));
    };
    this_request::sleep_for(50ms);
    reply("slept", 50ms);
    request.settimeout(50ms);
    try {
      rfile.readline();
    } catch (const timeout_error&) {
      reply("timed out", 100ms);
    }
    request.settimeout(std::nullopt);
    rfile.readline();  // until idle_timeout, or the end of the drain
  }
};

TEST_CASE("the wall clock of this test jumps by hours, in both directions") {
  const auto jumped = [](auto is_later) {
    return eventually([&] {
      const auto before = std::chrono::system_clock::now();
      std::this_thread::sleep_for(1ms);
      return is_later(std::chrono::system_clock::now() - before);
    });
  };
  const JumpingClock clock;
  CHECK(jumped([](auto difference) { return difference > 1h; }));
  CHECK(jumped([](auto difference) { return difference < -1h; }));
}

TEST_CASE_TEMPLATE("a wall clock that jumps by hours neither shortens nor lengthens a timeout", Server,
                   TCPServer<Waits>, ThreadingTCPServer<Waits>, ThreadPoolTCPServer<Waits>, ForkingTCPServer<Waits>,
                   FiberTCPServer<Waits>, PreForkingTCPServer<Waits>, PreForkingFiberTCPServer<Waits>) {
  const JumpingClock clock;
  SUBCASE("in a handler, and of the server") {
    Server server(loopback(), quiet({.idle_timeout = 150ms}));
    const ServerThread background(server);
    const auto start = steady_clock::now();
    StreamClient client(server.server_address());
    CHECK(client.read_line() == "slept\n");
    CHECK(client.read_line() == "timed out\n");
    CHECK(client.read_all().empty());
    CHECK(steady_clock::now() - start >= 150ms);
  }
  SUBCASE("of a drain") {
    Server server(loopback(), quiet());
    const ServerThread background(server);
    StreamClient client(server.server_address());
    CHECK(client.read_line() == "slept\n");
    CHECK(client.read_line() == "timed out\n");
    const auto start = steady_clock::now();
    CHECK(server.drain(150ms).aborted == 1);
    CHECK(steady_clock::now() - start >= 150ms);
  }
  SUBCASE("of handle_request") {
    Server server(loopback());
    server.timeout = 50ms;
    const auto start = steady_clock::now();
    server.handle_request();
    CHECK(steady_clock::now() - start >= 50ms);
  }
}

}  // namespace
