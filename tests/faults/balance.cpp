/// Who gets the connections, where several could accept them.

#include <doctest/doctest.h>
#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <map>
#include <sockserv.hpp>
#include <string>
#include <vector>

#include "support/support.hpp"

namespace {

using namespace sockserv;
using namespace support;

/// Says in which thread it runs, and stays until the client goes. Each worker and each loop has a thread of its own.
struct NamesItsThread : StreamRequestHandler {
  void handle() override {
    wfile.write(std::to_string(::gettid()) + "\n");
    rfile.readline();
  }
};

struct NamesItsProcess : StreamRequestHandler {
  void handle() override {
    wfile.write(std::to_string(::getpid()) + "\n");
    rfile.readline();
  }
};

/// How many of that many connections, all open at a time, each thread or process serves.
std::vector<std::size_t> shares(const AbstractServer& server, std::size_t connections) {
  std::map<std::string, std::size_t> counts;
  std::vector<StreamClient> clients;
  for (std::size_t i = 0; i < connections; ++i) {
    clients.emplace_back(server.server_address());
    ++counts[clients.back().read_line()];
  }
  std::vector<std::size_t> shares;
  for (const auto& [where, count] : counts) shares.push_back(count);
  std::sort(shares.begin(), shares.end());
  return shares;
}

TEST_CASE("a worker that is busy leaves connections to the workers that are free") {
  PreForkingTCPServer<NamesItsThread> server(loopback());
  server.processes = 4;
  const ServerThread background(server);
  CHECK(shares(server, 4) == std::vector<std::size_t>{1, 1, 1, 1});
}

TEST_CASE_TEMPLATE("max_connections is shared out evenly between workers", Server,
                   PreForkingFiberTCPServer<NamesItsProcess>,
                   PreForkingMixIn<ThreadingMixIn<TCPServer<NamesItsProcess>>>) {
  Server server(loopback(), {.max_connections = 22});
  server.processes = 4;
  const ServerThread background(server);
  CHECK(shares(server, 22) == std::vector<std::size_t>{5, 5, 6, 6});
}

TEST_CASE("fiber loops differ by at most eight connections") {
  FiberTCPServer<NamesItsThread> server(loopback());
  server.loops = 4;
  const ServerThread background(server);
  const std::vector<std::size_t> each = shares(server, 200);
  REQUIRE(each.size() == 4);
  CHECK(each.back() - each.front() <= 8);
}

}  // namespace
