/// What becomes of the port when the parent of a server's processes is killed.

#include <doctest/doctest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <sockserv.hpp>
#include <string>

#include "support/serving.hpp"
#include "support/support.hpp"

namespace {

using namespace sockserv;
using namespace support;

/// A server in a process of its own.
template <class Server>
class Program {
 public:
  Program() {
    ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);  // what it leaves behind becomes this program's
    parent_ = ::fork();
    if (parent_ == 0) {
      ::alarm(static_cast<unsigned>(patience.count()));  // it must end whatever becomes of this test
      Server server(loopback());
      *port_ = server.server_address().port();
      server.serve_forever();
      ::_exit(0);
    }
    REQUIRE(eventually([&] { return *port_ != 0; }));
  }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;
  ~Program() {
    kill();
    ::prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0);
  }

  void kill() {
    if (parent_ == 0) return;
    ::kill(parent_, SIGKILL);
    ::waitpid(parent_, nullptr, 0);
    parent_ = 0;
  }

  Address address() const { return {"127.0.0.1", *port_}; }

  /// True if another server can take the port and serve there.
  bool another_serves() const {
    bool served = false;
    const auto error = detail::error_of([&] {
      TCPServer<Greets> next(address());
      const ServerThread background(next);
      served = StreamClient(address()).read_all() == "hello\n";
    });
    return !error && served;
  }

 private:
  Shared<std::atomic<std::uint16_t>> port_;
  pid_t parent_ = 0;
};

/// Collects the orphans; true when there are none left.
bool all_gone() {
  while (::waitpid(-1, nullptr, WNOHANG) > 0) {
  }
  return !has_children();
}

TEST_CASE_TEMPLATE("the parent is killed: its workers end, although they serve, and the port is free", Server,
                   PreForkingTCPServer<Lingers>, PreForkingFiberTCPServer<Lingers>) {
  Program<Server> program;
  StreamClient client(program.address());
  CHECK(client.read_line() == "here\n");
  CHECK_FALSE(program.another_serves());
  program.kill();
  CHECK(client.read_all().empty());
  CHECK(eventually(all_gone));
  CHECK(program.another_serves());
}

TEST_CASE("the parent is killed: forked children serve their clients to the end, and the port is free at once") {
  Program<ForkingTCPServer<Lingers>> program;
  StreamClient client(program.address());
  CHECK(client.read_line() == "here\n");
  program.kill();
  CHECK(program.another_serves());
  CHECK_FALSE(all_gone());
  client.send("bye\n");
  CHECK(client.read_all().empty());
  CHECK(eventually(all_gone));
}

}  // namespace
