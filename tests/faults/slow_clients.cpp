/// What a client notices of a thousand others that send a byte from time to time.

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <sockserv.hpp>
#include <thread>
#include <vector>

#include "base/sanitized.hpp"
#include "support/serving.hpp"
#include "support/support.hpp"

namespace {

using namespace sockserv;
using namespace support;
using std::chrono::steady_clock;

#if defined(SOCKSERV_ASAN) || defined(SOCKSERV_TSAN)
constexpr std::size_t slow_ones = 200;  // threads of a sanitizer are slow to make
#else
constexpr std::size_t slow_ones = 1000;
#endif

/// Clients that send a line so slowly that it has no end: each a byte a second.
class Crowd {
 public:
  explicit Crowd(const Address& server) {
    for (std::size_t i = 0; i < slow_ones; ++i) clients_.emplace_back(server);
    thread_ = std::thread([this] {
      for (std::size_t i = 0; !stopped_; ++i) {
        clients_[i % clients_.size()].send("x");
        std::this_thread::sleep_for(std::chrono::duration<double>(1.0 / slow_ones));
      }
    });
  }
  ~Crowd() {
    stopped_ = true;
    thread_.join();
  }

 private:
  std::vector<StreamClient> clients_;
  std::atomic<bool> stopped_ = false;
  std::thread thread_;
};

/// How long 99 of 100 round trips take at most.
steady_clock::duration p99(StreamClient& client) {
  std::vector<steady_clock::duration> times;
  for (int i = 0; i < 100; ++i) {
    const auto start = steady_clock::now();
    client.send("hello\n");
    CHECK(client.read_line() == "hello\n");
    times.push_back(steady_clock::now() - start);
  }
  std::sort(times.begin(), times.end());
  return times[98];
}

// The rounds are repeated, since a machine has moments of its own; what slow clients cost would be there in each.
TEST_CASE_TEMPLATE("a thousand slow clients: a good one's p99 stays of the order that it had without them", Server,
                   ThreadingTCPServer<Echo>, FiberTCPServer<Echo>) {
  const ManyDescriptors descriptors;
  if (!descriptors.enough_for(2 * slow_ones)) return skip("this user may not open 2,100 descriptors (ulimit -n)");
  Server server(loopback(), quiet());
  ServerThread background(server);
  {
    StreamClient good(server.server_address());
    const auto alone = std::max({p99(good), p99(good), p99(good)});
    const Crowd crowd(server.server_address());
    CHECK(eventually([&] { return server.requests_running() == slow_ones + 1; }));
    CHECK(eventually([&] { return p99(good) <= 10 * alone; }));
    CHECK(server.requests_running() == slow_ones + 1);
  }
  background.stop();
}

}  // namespace
