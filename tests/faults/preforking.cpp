/// What happens when workers are killed while they serve.

#include <doctest/doctest.h>
#include <signal.h>

#include <atomic>
#include <cstdlib>
#include <random>
#include <sockserv.hpp>
#include <thread>
#include <vector>

#include "support/serving.hpp"
#include "support/support.hpp"

namespace {

using namespace sockserv;
using namespace support;
using std::chrono::steady_clock;

/// How long the workers are killed; longer outside ctest, by SOCKSERV_STAMPEDE_SECONDS.
std::chrono::seconds stampede_time() {
  const char* const given = std::getenv("SOCKSERV_STAMPEDE_SECONDS");
  return std::chrono::seconds(given ? std::stoi(given) : 2);
}

/// What clients have seen, who come one after another for as long as this lives.
class Load {
 public:
  Load(const Address& server, int clients) {
    for (int i = 0; i < clients; ++i) threads_.emplace_back([this, server] { visit(server); });
  }
  ~Load() { stop(); }

  void stop() {
    stopped_ = true;
    for (std::thread& thread : threads_) {
      if (thread.joinable()) thread.join();
    }
  }

  std::atomic<std::size_t> answered = 0;
  std::atomic<std::size_t> broken = 0;   // connections that ended without the answer
  std::atomic<std::size_t> refused = 0;  // connections that could not be made

 private:
  void visit(const Address& server) {
    while (!stopped_) {
      std::optional<StreamClient> client;
      try {
        client.emplace(server);
      } catch (const std::system_error&) {
        ++refused;
        continue;
      }
      try {
        client->send("hello\n");
        client->shutdown_write();
        ++(client->read_all() == "hello\n" ? answered : broken);
      } catch (const std::system_error&) {
        ++broken;
      }
    }
  }

  std::atomic<bool> stopped_ = false;
  std::vector<std::thread> threads_;
};

template <class Server>
void survives_a_stampede(std::size_t requests_of_a_worker) {
  Server server({"127.0.0.1", 0}, quiet());
  server.processes = 4;
  ServerThread background(server);
  const auto complete = [&] { return server.active_children().size() == server.processes; };
  REQUIRE(eventually(complete));
  const std::size_t descriptors = open_descriptors().size();

  constexpr int clients = 6;
  Load load(server.server_address(), clients);
  std::minstd_rand random(1);
  std::size_t killed = 0;
  for (const auto end = steady_clock::now() + stampede_time(); steady_clock::now() < end;) {
    std::this_thread::sleep_for(100ms);
    const auto workers = server.active_children();
    if (workers.empty()) continue;
    const std::size_t answered = load.answered;
    ::kill(*std::next(workers.begin(), static_cast<std::ptrdiff_t>(random() % workers.size())), SIGKILL);
    ++killed;
    CHECK(eventually([&] { return load.answered > answered; }));
  }
  load.stop();

  CHECK(killed >= 5);
  CHECK(load.refused == 0);
  CHECK(load.broken <= killed * requests_of_a_worker);
  CHECK(server.stats().accepted >= load.answered);
  CHECK(eventually(complete));
  CHECK(eventually([&] { return server.requests_running() == 0; }));
  CHECK(eventually([&] { return open_descriptors().size() <= descriptors; }));
  background.stop();
  CHECK(server.active_children().empty());
  CHECK_FALSE(has_children());
}

TEST_CASE("a worker is killed every 100 ms under load: others serve, it is replaced, only its requests fail") {
  SUBCASE("one request at a time") { survives_a_stampede<PreForkingTCPServer<Echo>>(1); }
  // A pool, since ThreadSanitizer's runtime breaks down in a forked process that makes thousands of threads.
  SUBCASE("many") { survives_a_stampede<PreForkingMixIn<ThreadPoolMixIn<TCPServer<Echo>>>>(6); }
}

}  // namespace
