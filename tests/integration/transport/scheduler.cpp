/// Who waits how: schedulers belong to the place where code runs, whatever its connections are.

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <atomic>
#include <sockserv/client.hpp>
#include <sockserv/detail/request_scope.hpp>
#include <sockserv/detail/scheduler.hpp>
#include <sockserv/testing.hpp>
#include <string>
#include <thread>

#include "integration/acting.hpp"
#include "support/both_ends.hpp"
#include "support/support.hpp"

namespace {

using namespace acting;
using namespace support;

TEST_CASE("scheduler: plain threads have theirs, in handlers and elsewhere") {
  CHECK(&detail::scheduler_of_caller() == &detail::thread_scheduler());
  Acting<TCPServer<Actor>> server([](StreamRequestHandler& handler) {
    CHECK(&detail::scheduler_of_caller() == &detail::thread_scheduler());
    handler.wfile.write("done");
  });
  CHECK(testing::converse(server, "") == "done");
}

TEST_CASE("scheduler: on a fiber, a conversation without a socket waits as the fiber does") {
  std::atomic<bool> other_came = false;
  struct Waits : StreamRequestHandler {
    explicit Waits(std::atomic<bool>& flag) : may_end(flag) {}
    void handle() override {
      while (!may_end) this_request::sleep_for(1ms);
      wfile.write("waited");
    }
    std::atomic<bool>& may_end;
  };
  OneLoop server([&](StreamRequestHandler& handler) {
    if (handler.rfile.readline() == "other\n") {
      other_came = true;
      return;
    }
    TCPServer<Waits> inner({"127.0.0.1", 0}, {.bind_and_activate = false});
    inner.handler_factory = [&] { return std::make_unique<Waits>(other_came); };
    handler.wfile.write(testing::converse(inner, ""));
  });
  const ServerThread background(server);
  StreamClient client(server.server_address());
  client.send("first\n");
  StreamClient other(server.server_address());
  other.send("other\n");
  CHECK(client.read_all() == "waited");
}

TEST_CASE("scheduler: what a fiber offloads, and another thread to which it passes its request, may block") {
  OneLoop server([](StreamRequestHandler& handler) {
    CHECK_FALSE(detail::scheduler_of_caller().may_block());
    CHECK(this_request::offload([] { return detail::scheduler_of_caller().may_block(); }));
    std::thread([] { CHECK(detail::scheduler_of_caller().may_block()); }).join();
    handler.wfile.write("done");
  });
  const ServerThread background(server);
  StreamClient client(server.server_address());
  CHECK(client.read_all() == "done");
}

/// Returns the kernel's copy of a socket's timeout.
std::chrono::microseconds kernel_timeout(int socket, int option) {
  timeval value{};
  socklen_t size = sizeof value;
  REQUIRE(::getsockopt(socket, SOL_SOCKET, option, &value, &size) == 0);
  return std::chrono::seconds(value.tv_sec) + std::chrono::microseconds(value.tv_usec);
}

TEST_CASE("timeouts: a connection has them; for those who block, the kernel has a copy") {
  BothEnds both;
  both.request.settimeout(2s, SHUT_RD);
  both.request.settimeout(3s, SHUT_WR);
  CHECK(both.request.gettimeout(SHUT_RD) == 2s);
  CHECK(both.request.gettimeout(SHUT_WR) == 3s);
  CHECK(kernel_timeout(both.request.fileno(), SO_RCVTIMEO) == 2s);
  CHECK(kernel_timeout(both.request.fileno(), SO_SNDTIMEO) == 3s);
  both.request.settimeout(std::nullopt, SHUT_RD);
  CHECK(kernel_timeout(both.request.fileno(), SO_RCVTIMEO) == 0s);
  CHECK(kernel_timeout(both.request.fileno(), SO_SNDTIMEO) == 3s);
}

TEST_CASE("timeouts: a fiber that takes a connection over leaves no copy in the kernel") {
  struct Limited : OneLoop {
    using OneLoop::OneLoop;
    ~Limited() override { server_close(); }
    bool verify_request(Connection& request, const Address&) override {
      request.settimeout(1h);
      return true;
    }
  };
  Limited server([](StreamRequestHandler& handler) {
    CHECK(handler.request.gettimeout() == 1h);
    CHECK(kernel_timeout(handler.request.fileno(), SO_RCVTIMEO) == 0s);
    handler.wfile.write("done");
  });
  const ServerThread background(server);
  StreamClient client(server.server_address());
  CHECK(client.read_all() == "done");
}

TEST_CASE("timeouts: they hold for a client's connection wherever it is used") {
  OneLoop silent([](StreamRequestHandler& handler) { handler.rfile.readline(); });
  const ServerThread background(silent);
  ClientConnection connection = create_connection(silent.server_address());
  connection.connection.settimeout(5ms);
  CHECK_THROWS_AS(connection.rfile.readline(), timeout_error);
  OneLoop server([&](StreamRequestHandler& handler) {
    CHECK_THROWS_AS(connection.rfile.readline(), timeout_error);
    handler.wfile.write("done");
  });
  const ServerThread other_background(server);
  StreamClient client(server.server_address());
  CHECK(client.read_all() == "done");
}

TEST_CASE("WaitLimit: a timeout begins when its deadline is first asked for") {
  using detail::WaitLimit;
  CHECK(WaitLimit().deadline() == detail::no_deadline);
  CHECK_FALSE(WaitLimit().is_deadline());
  CHECK(WaitLimit(detail::no_deadline) == WaitLimit());
  CHECK(WaitLimit(std::nullopt) == WaitLimit());
  CHECK(WaitLimit::at_once().is_at_once());
  CHECK(WaitLimit(detail::time_point::min()).is_at_once());

  WaitLimit limit(1h);
  CHECK(limit.timeout() == 1h);
  CHECK_FALSE(limit.is_deadline());
  const auto before = detail::now();
  const auto deadline = limit.deadline();
  CHECK(deadline >= before + 1h);
  CHECK(deadline <= detail::now() + 1h);
  CHECK(limit.deadline() == deadline);
  CHECK(limit.is_deadline());
  CHECK_FALSE(limit.timeout());

  WaitLimit endless(WaitLimit::duration::max());
  CHECK(endless.timeout() == WaitLimit::duration::max());
  CHECK(endless.deadline() == detail::no_deadline);
}

}  // namespace
