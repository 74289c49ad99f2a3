/// Twenty thousand requests at once.

#include <doctest/doctest.h>

#include <array>
#include <atomic>
#include <sockserv.hpp>

#include "support/support.hpp"
#include "transport/fiber/sanitizers.hpp"

namespace {

using namespace sockserv;
using namespace support;

#ifdef SOCKSERV_TSAN
constexpr std::size_t many = 4000;  // it can tell about 8,000 fibers apart
#elif defined(SOCKSERV_ASAN)
constexpr std::size_t many = 4000;  // each costs it a few mappings
#else
constexpr std::size_t many = 20000;
#endif

std::atomic<std::size_t> parked;
std::atomic<std::size_t> intact;
std::atomic<std::size_t> aborted;

/// Sleeps until it is aborted, and then looks whether its stack is what it was.
struct Sleeps : DatagramRequestHandler {
  void handle() override {
    std::array<std::size_t, 64> mark{};
    const std::size_t number = parked++;
    mark.fill(number);
    try {
      this_request::sleep_for(std::chrono::hours(1));
    } catch (const boost::system::system_error& error) {
      if (error.code() == errc::aborted) ++aborted;
    }
    std::array<std::size_t, 64> expected{};
    expected.fill(number);
    if (mark == expected) ++intact;
  }
};

TEST_CASE("twenty thousand fibers wait at once, keep what is theirs, and can be aborted") {
  parked = intact = aborted = 0;
  const TemporaryFolder folder;
  FiberUnixDatagramServer<Sleeps> server(folder / "socket");
  server.loops = 3;
  server.stack_size = std::size_t{64} << 10;
  const ServerThread background(server);
  DatagramClient client(server.server_address(), DatagramClient::Reply::impossible);
  for (std::size_t i = 0; i < many; ++i) client.send("hello");  // waits while the server's queue is full
  CHECK(eventually([] { return parked == many; }));
  CHECK(server.requests_running() == many);
  const DrainResult result = server.drain(0ms);
  CHECK(result.aborted == many);
  CHECK(result.remaining == 0);
  CHECK(intact == many);
  CHECK(aborted == many);
}

TEST_CASE("fibers without memory for their stacks: the request is closed, handle_error hears of it, serving goes on") {
  struct Greets : StreamRequestHandler {
    void handle() override { wfile.write("hello"); }
  };
  Lines lines;
  {
    struct WithoutMemory : FiberTCPServer<Greets> {
      using FiberTCPServer<Greets>::FiberTCPServer;
      void check_settings() const override {
        FiberTCPServer<Greets>::check_settings();
        // More than there is address space; too late to be refused.
        const_cast<WithoutMemory*>(this)->stack_size = std::size_t{1} << 45;
      }
    };
    WithoutMemory server({"127.0.0.1", 0}, {.log = lines.sink()});
    server.loops = 2;
    const ServerThread background(server);
    for (std::uint64_t i = 1; i <= 3; ++i) {
      StreamClient refused(server.server_address());
      CHECK(refused.read_all().empty());
      CHECK(eventually([&] { return server.stats().handler_errors == i && server.requests_running() == 0; }));
    }
  }
  CHECK(lines.mention("no memory for another fiber's stack"));
}

}  // namespace
