#include <sockserv/mixin/threading.hpp>  // first, to test that it is self-contained

#include <doctest/doctest.h>
#include <pthread.h>

#include <sockserv.hpp>

#include "support/support.hpp"

namespace {

using namespace sockserv;
using namespace support;

struct StackSize : StreamRequestHandler {
  void handle() override {
    pthread_attr_t attributes;
    REQUIRE(::pthread_getattr_np(::pthread_self(), &attributes) == 0);
    std::size_t size = 0;
    ::pthread_attr_getstacksize(&attributes, &size);
    ::pthread_attr_destroy(&attributes);
    wfile.write(std::to_string(size));
  }
};

TEST_CASE("stack_size is the size of each thread's stack") {
  ThreadingTCPServer<StackSize> server(loopback());
  server.stack_size = 1 << 20;
  StreamClient client(server.server_address());
  server.handle_request();
  CHECK(client.read_all() == std::to_string(1 << 20));
}

TEST_CASE("a thread that cannot be made closes its request, and serving goes on") {
  struct Recording : ThreadingTCPServer<StackSize> {
    Recording() : ThreadingTCPServer<StackSize>(loopback()) {}
    ~Recording() override { server_close(); }
    void handle_error(const Address&, std::exception_ptr) override { ++errors; }
    bool verify_request(Connection&, const Address&) override {
      stack_size = next_stack_size;
      return true;
    }
    void shutdown_request(Connection& request) override {
      CHECK(request.fileno() >= 0);
      ++ended;
      ThreadingTCPServer<StackSize>::shutdown_request(request);
    }
    std::size_t next_stack_size = std::size_t{1} << 46;  // more than there is memory; too late to be refused
    int errors = 0;
    int ended = 0;
  };
  Recording server;
  StreamClient refused(server.server_address());
  server.handle_request();
  CHECK(refused.read_all().empty());
  CHECK(server.errors == 1);
  CHECK(server.ended == 1);
  CHECK(server.requests_running() == 0);

  server.stack_size = server.next_stack_size = 1 << 20;
  StreamClient served(server.server_address());
  server.handle_request();
  CHECK(served.read_all() == std::to_string(1 << 20));
  server.server_close();
}

TEST_CASE("process_request_thread may be extended") {
  struct Extended : ThreadingTCPServer<StackSize> {
    Extended() : ThreadingTCPServer<StackSize>(loopback()) {}
    ~Extended() override { server_close(); }
    void process_request_thread(Connection& request, const Address& client_address) override {
      request.sendall("before ");
      ThreadingTCPServer<StackSize>::process_request_thread(request, client_address);
    }
  };
  Extended server;
  StreamClient client(server.server_address());
  server.handle_request();
  CHECK(client.read_all().starts_with("before "));
}

TEST_CASE("what an override of process_request_thread throws goes to handle_error, and closes the request") {
  struct Throws : ThreadingTCPServer<StackSize> {
    Throws() : ThreadingTCPServer<StackSize>(loopback(), quiet()) {}
    ~Throws() override { server_close(); }
    void process_request_thread(Connection&, const Address&) override { throw std::runtime_error("from override"); }
  };
  Throws server;
  StreamClient client(server.server_address());
  server.handle_request();
  CHECK(client.read_all().empty());
  CHECK(server.stats().handler_errors == 1);
}

}  // namespace
