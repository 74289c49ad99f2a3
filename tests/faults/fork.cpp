/// What happens when the system cannot give the server its next process.

#include <doctest/doctest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>
#include <cstddef>
#include <sockserv.hpp>
#include <string>
#include <thread>
#include <vector>

#include "support/serving.hpp"
#include "support/support.hpp"

namespace {

using namespace sockserv;
using namespace support;

/// From here on, fork() fails with EAGAIN in the calling thread.
void let_fork_fail() {
  const auto number = static_cast<__u32>(offsetof(seccomp_data, nr));
  const auto fails_for = [](__u32 call, __u8 distance) {
    return sock_filter BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, distance, 0);
  };
  std::array<sock_filter, 6> filter{{
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, number),
      fails_for(SYS_clone, 3),
      fails_for(SYS_clone3, 2),
      fails_for(SYS_vfork, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EAGAIN),
  }};
  sock_fprog program{static_cast<unsigned short>(filter.size()), filter.data()};
  REQUIRE(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
  REQUIRE(::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
}

TEST_CASE("fork that fails closes that request, tells handle_error, and serving goes on") {
  struct Recording : ForkingTCPServer<Greets> {
    Recording() : ForkingTCPServer<Greets>({"127.0.0.1", 0}) {}
    ~Recording() override { server_close(); }
    void handle_error(const Address&, std::exception_ptr error) override {
      ++errors;
      CHECK(detail::describe(error).find("fork") != std::string::npos);
    }
    void shutdown_request(Connection& request) override {
      ++ended;
      ForkingTCPServer<Greets>::shutdown_request(request);
    }
    void notify_fork(boost::asio::execution_context::fork_event event) override {
      open_notifications += event == boost::asio::execution_context::fork_prepare ? 1 : -1;
    }
    int errors = 0;
    int ended = 0;
    int open_notifications = 0;
  };
  Recording server;
  StreamClient first(server.server_address());
  StreamClient second(server.server_address());
  std::thread([&] {
    let_fork_fail();
    server.handle_request();
    server.handle_request();
  }).join();
  CHECK(first.read_all().empty());
  CHECK(second.read_all().empty());
  CHECK(server.errors == 2);
  CHECK(server.ended == 2);
  CHECK(server.open_notifications == 0);
  CHECK(server.requests_running() == 0);

  StreamClient third(server.server_address());
  server.handle_request();
  CHECK(third.read_all() == "hello\n");
  server.server_close();
}

TEST_CASE("fork that fails is tried again, and then given up by a pre-forking server") {
  PreForkingTCPServer<Greets> server({"127.0.0.1", 0}, quiet());
  server.max_early_deaths = 2;
  std::string said = "nothing";
  std::thread([&] {
    let_fork_fail();
    const auto error = detail::error_of([&] { server.serve_forever(); });
    if (error) said = detail::describe(error);
  }).join();
  CHECK(said.find("2 workers in a row") != std::string::npos);
  CHECK(said.find("could not be started") != std::string::npos);
  CHECK(said.find("fork") != std::string::npos);
}

TEST_CASE("fork that fails costs a pre-forking server no worker that serves") {
  Lines lines;
  PreForkingTCPServer<Greets> server({"127.0.0.1", 0}, {.log = lines.sink()});
  server.processes = 2;
  server.max_early_deaths = 2;
  std::exception_ptr error;
  std::atomic<bool> lacks_processes = false;
  std::thread serving([&] {
    error = detail::error_of([&] {
      server.call_when_ready([&] {
        let_fork_fail();
        lacks_processes = true;
      });
      server.serve_forever();
    });
  });
  CHECK(eventually([&] { return lacks_processes && server.active_children().size() == 2; }));
  CHECK(StreamClient(server.server_address()).read_all() == "hello\n");
  CHECK(eventually([&] { return server.stats().completed == 1; }));
  ::kill(*server.active_children().begin(), SIGKILL);
  const auto failures = [&] {
    const std::vector<std::string> all = lines.all();
    return std::count_if(all.begin(), all.end(),
                         [](const std::string& line) { return line.find("could not be started") != line.npos; });
  };
  CHECK(eventually([&] { return failures() > 2; }));
  CHECK(StreamClient(server.server_address()).read_all() == "hello\n");
  server.shutdown();
  serving.join();
  CHECK_FALSE(error);
}

}  // namespace
