/// What happens when the system cannot give the server its next connection.

#include <doctest/doctest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <cmath>
#include <sockserv.hpp>
#include <vector>

#include "support/serving.hpp"
#include "support/support.hpp"

namespace {

using namespace sockserv;
using namespace support;
using std::chrono::steady_clock;

/// A server whose first accepts fail in a given way.
struct Failing : TCPServer<Greets> {
  Failing(Lines& lines, int times, std::function<void()> fail)
      : TCPServer({"127.0.0.1", 0}, {.log = lines.sink()}), failures_left(times), fail_once(std::move(fail)) {}
  ~Failing() override { server_close(); }

  std::optional<std::pair<Connection, Address>> get_request() override {
    if (failures_left-- > 0) fail_once();
    return TCPServer::get_request();
  }

  int failures_left;
  std::function<void()> fail_once;
};

std::function<void()> system_error(int value) {
  return [value] { detail::throw_error(error_code(value, boost::system::system_category()), "accept"); };
}

TEST_CASE("lack of descriptors or memory makes accepting pause, 10 ms and doubling, and log once a second") {
  for (const int value : {EMFILE, ENFILE, ENOBUFS, ENOMEM}) {
    Lines lines;
    Failing server(lines, 5, system_error(value));
    StreamClient client(server.server_address());
    const auto start = steady_clock::now();
    ServerThread background(server);
    CHECK(client.read_all() == "hello\n");
    CHECK(steady_clock::now() - start >= 10ms + 20ms + 40ms + 80ms + 160ms);
    CHECK(server.stats().accept_errors == 5);
    CHECK(server.stats().accepted == 1);
    REQUIRE(lines.all().size() == 1);
    CHECK(lines.all()[0].find("accepting pauses") != std::string::npos);
  }
}

TEST_CASE("std::bad_alloc while accepting is lack of memory too") {
  Lines lines;
  Failing server(lines, 3, [] { throw std::bad_alloc(); });
  StreamClient client(server.server_address());
  const auto start = steady_clock::now();
  ServerThread background(server);
  CHECK(client.read_all() == "hello\n");
  CHECK(steady_clock::now() - start >= 10ms + 20ms + 40ms);
}

TEST_CASE("a connection that failed before it was accepted is passed over in silence") {
  for (const int value : {ECONNABORTED, EPROTO}) {
    Lines lines;
    Failing server(lines, 1000, system_error(value));
    StreamClient client(server.server_address());
    ServerThread background(server);
    CHECK(client.read_all() == "hello\n");
    CHECK(server.stats().accept_errors == 1000);
    CHECK(lines.all().empty());
  }
}

TEST_CASE("failures while the backlog is taken do not lose the rest of it") {
  for (const int value : {ECONNABORTED, EMFILE}) {
    Lines lines;
    Failing server(lines, 3, system_error(value));
    std::vector<StreamClient> clients;
    for (int i = 0; i < 3; ++i) clients.emplace_back(server.server_address());
    CHECK(server.drain(patience).aborted == 0);
    for (StreamClient& client : clients) CHECK(client.read_all() == "hello\n");
    CHECK(server.stats().accept_errors == 3);
  }
}

TEST_CASE("what an override of get_request throws is logged, and serving goes on without a pause") {
  Lines lines;
  Failing server(lines, 100, [] { throw std::runtime_error("bad handshake"); });
  StreamClient client(server.server_address());
  ServerThread background(server);
  CHECK(client.read_all() == "hello\n");
  CHECK(lines.all().at(0).find("bad handshake") != std::string::npos);
}

TEST_CASE("a listening socket that is none any more ends serving with its error") {
  Lines lines;
  Failing server(lines, 1000000, system_error(EBADF));
  StreamClient client(server.server_address());
  CHECK_THROWS_AS(server.serve_forever(), boost::system::system_error);
  CHECK(server.stats().accept_errors == 1);
  CHECK(server.state() == ServerState::stopped);
}

TEST_CASE("out of descriptors for real: no spin, clients wait, and are served once there are some") {
  Lines lines;
  TCPServer<Greets> server({"127.0.0.1", 0}, {.log = lines.sink()});
  std::vector<StreamClient> clients;
  for (int i = 0; i < 3; ++i) clients.emplace_back(server.server_address());

  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  const int next_descriptor = ::dup(server.fileno());
  ::close(next_descriptor);
  rlimit none_left = before;
  none_left.rlim_cur = static_cast<rlim_t>(next_descriptor);
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &none_left) == 0);
  const auto start = steady_clock::now();
  {
    ServerThread background(server);
    const bool failed = eventually([&] { return server.stats().accept_errors >= 4; });
    const auto errors = static_cast<double>(server.stats().accept_errors);
    const std::chrono::duration<double, std::milli> elapsed = steady_clock::now() - start;
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
    CHECK(failed);
    // n failures are n - 1 pauses apart: 10 ms, 20 ms, 40 ms …
    CHECK(errors <= std::log2(elapsed.count() / 10 + 1) + 1);
    for (StreamClient& client : clients) CHECK(client.read_all() == "hello\n");
  }
  CHECK(lines.all().size() <= 1 + static_cast<std::size_t>((steady_clock::now() - start) / 1s));
}

}  // namespace
