/// What happens when the system gives a user no more threads.

#include <doctest/doctest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <iostream>
#include <sockserv.hpp>

#include "support/serving.hpp"
#include "support/support.hpp"

namespace {

using namespace sockserv;
using namespace support;

/// What a client hears while its server's user has as many threads as allowed, and what another one hears afterwards.
template <class Server>
std::pair<std::string, std::string> heard_at_the_limit() {
  const auto [status, heard] = in_child([] {
    // The limit does not hold for root.
    if (::geteuid() == 0 && ::setresuid(65534, 65534, 65534) != 0) ::_exit(1);
    Server server(loopback(), quiet());
    const ServerThread background(server);
    if constexpr (requires { server.loops; }) {  // which are threads, made when serving begins
      if (StreamClient(server.server_address()).read_all() != "hello\n") ::_exit(1);
    }
    rlimit limit{};
    ::getrlimit(RLIMIT_NPROC, &limit);
    const rlimit none{0, limit.rlim_max};
    ::setrlimit(RLIMIT_NPROC, &none);
    std::cerr << StreamClient(server.server_address()).read_all() << "|";
    ::setrlimit(RLIMIT_NPROC, &limit);
    std::cerr << StreamClient(server.server_address()).read_all();
  });
  CHECK(status == 0);
  return {heard.substr(0, heard.find('|')), heard.substr(heard.find('|') + 1)};
}

TEST_CASE("at the limit of threads a request is closed, and serving goes on") {
  using Heard = std::pair<std::string, std::string>;
  CHECK(heard_at_the_limit<ThreadingTCPServer<Greets>>() == Heard("", "hello\n"));
  CHECK(heard_at_the_limit<ThreadPoolTCPServer<Greets>>() == Heard("", "hello\n"));
  CHECK(heard_at_the_limit<ForkingTCPServer<Greets>>() == Heard("", "hello\n"));
}

TEST_CASE("at the limit of threads, fibers go on") {
  CHECK(heard_at_the_limit<FiberTCPServer<Greets>>().first == "hello\n");
}

}  // namespace
