/// Everything at once, for about a second: what the other tests look at one by one.

#include <doctest/doctest.h>

#include <atomic>
#include <random>
#include <sockserv.hpp>
#include <thread>
#include <vector>

#include "support/support.hpp"

namespace {

using namespace sockserv;
using namespace support;

/// Does what the client says, a word a line.
struct DoesAsTold : StreamRequestHandler {
  DoesAsTold() { timeout = std::chrono::seconds(20); }
  void handle() override {
    for (const std::string_view line : rfile) {
      if (line == "sleep\n") this_request::sleep_for(std::chrono::microseconds(500));
      if (line == "offload\n") this_request::offload([] { std::this_thread::yield(); });
      if (line == "large\n") wfile.write(std::string(1 << 20, 'x'));
      if (line == "close\n") return;
      if (line == "throw\n") throw std::runtime_error("as told");
      wfile.write(line);
    }
  }
};

/// Connects and talks, and leaves in some way or other, until the server is gone.
void be_a_client(const Address& server, unsigned seed) {
  std::mt19937 random(seed);
  const auto one_of = [&](std::size_t count) { return random() % count; };
  try {
    for (;;) {
      StreamClient client(server);
      for (std::size_t left = one_of(5); left > 0; --left) {
        constexpr std::array<const char*, 6> words{"hello\n", "sleep\n", "offload\n", "close\n", "throw\n", "large\n"};
        const std::string word = words[one_of(words.size())];
        client.send(word);
        if (word == "large\n") break;  // never reads it, or only some
        if (one_of(4) > 0 && client.read_line() != word) break;
      }
      switch (one_of(4)) {
        case 0:
          client.reset();
          break;
        case 1:
          client.send("half a li");
          client.reset();
          break;
        case 2:
          client.shutdown_write();
          client.read_all();
          break;
        default:
          client.close();
      }
    }
  } catch (const std::system_error&) {  // reset by the other side, or nobody there any more
  }
}

TEST_CASE("fibers under stress: clients that come, talk, reset and half-close at random, while the server drains") {
  for (unsigned round = 0; round < 4; ++round) {
    FiberTCPServer<DoesAsTold> server({"127.0.0.1", 0}, quiet());
    server.loops = 3;
    server.stall_threshold = 1ms;
    ServerThread background(server);
    const Address address = server.server_address();
    std::atomic<bool> end = false;
    std::vector<std::thread> clients;
    for (unsigned i = 0; i < 8; ++i) {
      clients.emplace_back([&, i] {
        for (unsigned again = 0; !end; ++again) be_a_client(address, (round * 8 + i) * 1000 + again);
      });
    }
    CHECK(eventually([&] { return server.stats().accepted >= 300; }));
    std::vector<std::thread> draining;
    for (const auto limit : {0ms, 20ms}) {
      draining.emplace_back([&, limit] { CHECK(server.drain(limit).remaining == 0); });
    }
    for (std::thread& thread : draining) thread.join();
    end = true;
    for (std::thread& thread : clients) thread.join();
    CHECK(server.state() == ServerState::stopped);
    CHECK(server.requests_running() == 0);
    background.stop();
  }
}

}  // namespace
