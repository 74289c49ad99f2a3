/// What happens to connections that wait in a backlog: when it is full, and when their server goes.

#include <doctest/doctest.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <sockserv.hpp>
#include <sstream>
#include <thread>
#include <vector>

#include "support/serving.hpp"
#include "support/support.hpp"

namespace {

using namespace sockserv;
using namespace support;

/// How often this network dropped a connection because a backlog was full.
long listen_overflows() {
  std::ifstream file("/proc/self/net/netstat");
  for (std::string names, values; std::getline(file, names) && std::getline(file, values);) {
    std::istringstream each_name(names);
    std::istringstream each_value(values);
    for (std::string name, value; each_name >> name && each_value >> value;) {
      if (name == "ListenOverflows") return std::stol(value);
    }
  }
  return -1;
}

// They speak first: of a connection that was made by a SYN cookie and did not fit, the kernel remembers nothing until
// the client sends something.
TEST_CASE("clients that do not fit into the backlog are not refused, and are served when there is room") {
  TCPServer<Echo> server(loopback(), {.request_queue_size = 1});
  const long before = listen_overflows();
  REQUIRE(before >= 0);
  std::vector<std::string> answers(5);
  std::vector<std::thread> clients;
  for (std::string& answer : answers) {
    clients.emplace_back([&] {
      const auto error = detail::error_of([&] {
        StreamClient client(server.server_address());
        client.send("hello\n");
        answer = client.read_line();
      });
      if (error) answer = detail::describe(error);
    });
  }
  CHECK(eventually([&] { return listen_overflows() > before; }));
  {
    const ServerThread background(server);
    for (std::thread& client : clients) client.join();
  }
  for (const std::string& answer : answers) CHECK(answer == "hello\n");
}

/// Two servers that share a port, and clients that wait for them.
struct TwoServers {
  TCPServer<Greets> leaving{loopback(), {.allow_reuse_port = true}};
  TCPServer<Greets> staying{leaving.server_address(), {.allow_reuse_port = true}};
  std::vector<StreamClient> clients;

  TwoServers() {
    for (int i = 0; i < 40; ++i) clients.emplace_back(leaving.server_address());
  }

  /// How many of the clients the server that stays answers.
  std::size_t answered() {
    const ServerThread background(staying);
    std::size_t count = 0;
    for (StreamClient& client : clients) {
      detail::error_of([&] { count += client.read_all() == "hello\n" ? 1 : 0; });  // or the connection was reset
    }
    return count;
  }
};

TEST_CASE("allow_reuse_port: a server that drains serves its own backlog, and new clients reach the other server") {
  TwoServers two;
  CHECK(two.leaving.drain(patience).aborted == 0);
  two.leaving.server_close();
  for (int i = 0; i < 10; ++i) two.clients.emplace_back(two.staying.server_address());
  CHECK(two.answered() == 50);
  CHECK(two.leaving.stats().accepted + two.staying.stats().accepted == 50);
  CHECK(two.leaving.stats().accepted > 0);
}

TEST_CASE("allow_reuse_port: what waits at a server that closes without draining is reset, and no other") {
  const auto [status, errors] = in_child([] {
    if (::unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0 || ::unshare(CLONE_NEWNET) == 0) {
      const int any = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
      ifreq up{};
      std::strcpy(up.ifr_name, "lo");
      up.ifr_flags = IFF_UP;
      ::ioctl(any, SIOCSIFFLAGS, &up);
      ::close(any);
    }
    for (const bool kernel_moves_them : {false, true}) {
      std::ofstream("/proc/sys/net/ipv4/tcp_migrate_req") << kernel_moves_them << std::flush;
      bool moves = false;
      std::ifstream("/proc/sys/net/ipv4/tcp_migrate_req") >> moves;
      TwoServers two;
      two.leaving.server_close();
      const std::size_t answered = two.answered();
      if (answered != two.staying.stats().accepted) std::cerr << "answered is not accepted\n";
      if (moves != (answered == two.clients.size())) std::cerr << answered << " answered, moves: " << moves << "\n";
      if (moves != kernel_moves_them) std::cerr << "no network of its own\n";
    }
  });
  if (errors == "no network of its own\n") {
    return skip("this user may not make a network namespace, where tcp_migrate_req could be set");
  }
  CHECK(errors == "");
  CHECK(status == 0);
}

}  // namespace
