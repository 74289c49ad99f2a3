/// What happens when a forked handler ends its process, and when there are very many of them.

#include <doctest/doctest.h>
#include <signal.h>
#include <sys/resource.h>

#include <atomic>
#include <cstdlib>
#include <exception>
#include <sockserv.hpp>
#include <stdexcept>
#include <thread>
#include <vector>

#include "support/serving.hpp"
#include "support/support.hpp"

namespace {

using namespace sockserv;
using namespace support;

/// Ends its process by std::terminate, or says hello.
struct Terminates : StreamRequestHandler {
  void handle() override {
    const std::string command(rfile.readline().value_or(""));
    const rlimit no_core{0, 0};
    ::setrlimit(RLIMIT_CORE, &no_core);
    ::signal(SIGABRT, SIG_DFL);
    std::set_terminate(std::abort);  // without a message
    if (command == "terminate\n") std::terminate();
    if (command == "throw while unwinding\n") {
      const ThrowsAtItsEnd at_the_end;
      throw std::runtime_error("first");
    }
    wfile.write("hello\n");
  }

  struct ThrowsAtItsEnd {
    // NOLINTNEXTLINE(bugprone-exception-escape): just that
    ~ThrowsAtItsEnd() noexcept(false) { throw std::runtime_error("second"); }
  };
};

TEST_CASE_TEMPLATE("std::terminate in a handler ends its process only: its client is disconnected, others are served",
                   Server, ForkingTCPServer<Terminates>, PreForkingTCPServer<Terminates>) {
  Server server(loopback(), quiet());
  const ServerThread background(server);
  for (const std::string_view command : {"terminate\n", "throw while unwinding\n", "terminate\n"}) {
    StreamClient bystander(server.server_address());
    StreamClient victim(server.server_address());
    victim.send(command);
    CHECK(victim.read_all().empty());
    bystander.send("go on\n");
    CHECK(bystander.read_all() == "hello\n");
  }
}

/// How many processes are forked; more outside ctest, by SOCKSERV_FORKS.
int number_of_forks() {
  const char* const given = std::getenv("SOCKSERV_FORKS");
  return given ? std::stoi(given) : 400;
}

TEST_CASE("hundreds of forks leave no zombie and no descriptor, without another request to come") {
  ForkingTCPServer<Greets> server(loopback());
  const std::size_t descriptors = open_descriptors().size();
  ServerThread background(server);
  std::atomic<int> left = number_of_forks();
  std::atomic<int> greeted = 0;
  std::vector<std::thread> clients;
  for (int i = 0; i < 4; ++i) {
    clients.emplace_back([&] {
      while (left-- > 0) greeted += StreamClient(server.server_address()).read_all() == "hello\n" ? 1 : 0;
    });
  }
  for (std::thread& client : clients) client.join();
  CHECK(greeted == number_of_forks());
  CHECK(eventually([] { return !has_children(); }));
  background.stop();
  CHECK(eventually([&] { return open_descriptors().size() <= descriptors; }));
}

}  // namespace
