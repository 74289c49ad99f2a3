#include <sockserv/mixin/thread_pool.hpp>  // first, to test that it is self-contained

#include <doctest/doctest.h>

#include <boost/thread/exceptions.hpp>
#include <set>
#include <sockserv.hpp>
#include <thread>
#include <vector>

#include "support/support.hpp"

namespace {

using namespace sockserv;
using namespace support;

/// Says which thread it runs in, and stays until the client says something.
struct Who : StreamRequestHandler {
  void handle() override {
    std::ostringstream id;
    id << std::this_thread::get_id() << "\n";
    wfile.write(id.str());
    const auto line = rfile.readline();
    if (line == "throw\n") throw std::runtime_error("as told");
    if (line == "interrupt\n") throw boost::thread_interrupted();
  }
};

TEST_CASE("a pool of one serves one after another, in the same thread") {
  ThreadPoolTCPServer<Who> server(loopback(), quiet());
  server.pool_size = 1;
  ServerThread background(server);
  std::set<std::string> threads;
  for (const char* end : {"bye\n", "throw\n", "interrupt\n", "bye\n"}) {
    StreamClient client(server.server_address());
    threads.insert(client.read_line());
    client.send(end);
    CHECK(client.read_all().empty());
  }
  CHECK(threads.size() == 1);
  CHECK(server.stats().handler_errors == 1);  // an interruption is no error
}

TEST_CASE("wait: what fits neither pool nor queue stays in the backlog until there is room") {
  ThreadPoolTCPServer<Who> server(loopback());
  server.pool_size = 2;
  server.queue_limit = 1;
  ServerThread background(server);
  std::vector<StreamClient> clients;
  for (int i = 0; i < 5; ++i) clients.emplace_back(server.server_address());
  CHECK(!clients[0].read_line().empty());
  CHECK(!clients[1].read_line().empty());
  CHECK(eventually([&] { return server.stats().accepted == 3; }));
  CHECK(server.requests_running() == 3);
  for (std::size_t i = 0; i < clients.size(); ++i) {
    if (i >= 2) CHECK(!clients[i].read_line().empty());
    CHECK(server.requests_running() <= 3);
    clients[i].send("bye\n");
    CHECK(clients[i].read_all().empty());
  }
  CHECK(server.stats().accepted == 5);
  CHECK(server.stats().rejected == 0);
}

TEST_CASE("reject: what fits neither is told so and closed, and counted") {
  struct Polite : ThreadPoolTCPServer<Who> {
    Polite() : ThreadPoolTCPServer<Who>(loopback()) {
      pool_size = 1;
      queue_limit = 0;
      when_full = WhenFull::reject;
    }
    ~Polite() override { server_close(); }
    void request_rejected(Connection& request, const Address&, Rejection reason) override {
      if (reason == Rejection::full) request.sendall("busy\n");
    }
  };
  Polite server;
  ServerThread background(server);
  StreamClient served(server.server_address());
  CHECK(!served.read_line().empty());
  for (int i = 0; i < 3; ++i) {
    StreamClient refused(server.server_address());
    CHECK(refused.read_all() == "busy\n");
  }
  CHECK(server.stats().rejected == 3);
  CHECK(server.stats().rejected_full == 3);
  served.send("bye\n");
  CHECK(served.read_all().empty());
  // The thread says that it is done a moment after its client has seen the end.
  CHECK(eventually([&] { return server.requests_running() == 0; }));
  StreamClient another(server.server_address());
  CHECK(another.read_line() != "busy\n");
  another.send("bye\n");
}

TEST_CASE("a pool without any thread closes the request, and serving goes on") {
  struct WithoutThreads : ThreadPoolTCPServer<Who> {
    using ThreadPoolTCPServer<Who>::ThreadPoolTCPServer;
    ~WithoutThreads() override { server_close(); }
    bool verify_request(Connection&, const Address&) override {
      stack_size = next_stack_size;
      return true;
    }
    std::size_t next_stack_size = std::size_t{1} << 46;  // more than there is memory; too late to be refused
  };
  WithoutThreads server(loopback(), quiet());
  StreamClient refused(server.server_address());
  server.handle_request();
  CHECK(refused.read_all().empty());
  CHECK(server.stats().handler_errors == 1);
  CHECK(server.requests_running() == 0);
  server.stack_size = server.next_stack_size = 0;
  StreamClient served(server.server_address());
  server.handle_request();
  CHECK(!served.read_line().empty());
  served.send("bye\n");
}

TEST_CASE("queued requests are served when the server closes, and aborted at the limit of a drain") {
  ThreadPoolTCPServer<Who> server(loopback());
  server.pool_size = 1;
  ServerThread background(server);
  StreamClient first(server.server_address());
  StreamClient second(server.server_address());
  CHECK(!first.read_line().empty());
  CHECK(eventually([&] { return server.requests_running() == 2; }));
  SUBCASE("served") {
    server.shutdown();
    first.send("bye\n");
    CHECK(!second.read_line().empty());
    second.send("bye\n");
  }
  SUBCASE("aborted") {
    const DrainResult result = server.drain(1ms);
    CHECK(result.aborted == 2);
    CHECK(result.remaining == 0);
  }
}

TEST_CASE("pool_size 0 is refused before serving") {
  ThreadPoolTCPServer<Who> server(loopback());
  CHECK(server.pool_size >= 1);
  server.pool_size = 0;
  CHECK_THROWS_WITH_AS(server.serve_forever(), doctest::Contains("pool_size"), std::invalid_argument);
}

}  // namespace
