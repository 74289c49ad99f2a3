#include <sockserv/server/tcp.hpp>  // first, to test that it is self-contained

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <sockserv.hpp>

#include "support/serving.hpp"
#include "support/support.hpp"

namespace {

using namespace sockserv;
using namespace support;

TEST_CASE("a bind that fails names the address") {
  const TCPServer<Greets> holder(loopback());
  const std::string where = holder.server_address().to_string();
  try {
    const TCPServer<Greets> second(holder.server_address());
    FAIL("bound twice");
  } catch (const boost::system::system_error& error) {
    CHECK(error.code() == boost::system::errc::address_in_use);
    CHECK(std::string(error.what()).find(where) != std::string::npos);
  }
}

TEST_CASE("a listening socket can be adopted, and is closed with the server") {
  const int listener = ::socket(AF_INET, SOCK_STREAM, 0);
  const Address any = loopback();
  REQUIRE(::bind(listener, any.data(), any.size()) == 0);

  CHECK_THROWS_WITH_AS(TCPServer<Greets>(AdoptedSocket{listener}), doctest::Contains("not listening"),
                       std::invalid_argument);
  REQUIRE(::listen(listener, 5) == 0);
  CHECK_THROWS_AS(UnixStreamServer<Greets>(AdoptedSocket{listener}), std::invalid_argument);
  CHECK_THROWS_AS(TCPServer<Greets>(AdoptedSocket{-1}), boost::system::system_error);

  ThreadingTCPServer<Greets> server(AdoptedSocket{listener});
  CHECK(server.fileno() == listener);
  {
    ServerThread background(server);
    StreamClient client(server.server_address());
    CHECK(client.read_all() == "hello\n");
  }
  CHECK(server.fileno() == -1);
  CHECK(::close(listener) == -1);
}

TEST_CASE("a client that has gone before it is accepted still has an address") {
  static std::string address;
  struct Record : StreamRequestHandler {
    void handle() override { address = client_address.to_string(); }
  };
  TCPServer<Record> server(loopback(), quiet());
  StreamClient client(server.server_address());
  const std::string expected = detail::ServerSocket::address_of(client.fileno()).to_string();
  client.reset();
  server.handle_request();
  CHECK(address == expected);
}

TEST_CASE("a handler that closes its request does no harm") {
  struct Closes : StreamRequestHandler {
    void handle() override { request.close(); }
  };
  TCPServer<Closes> server(loopback());
  StreamClient client(server.server_address());
  server.handle_request();
  CHECK(client.read_all().empty());
  CHECK(server.stats().handler_errors == 0);
  CHECK(server.requests_running() == 0);
}

TEST_CASE("get_request may be extended, to serve something else than what was accepted") {
  struct Wrapping : TCPServer<Greets> {
    using TCPServer::TCPServer;
    std::optional<std::pair<Connection, Address>> get_request() override {
      auto next = TCPServer::get_request();
      if (next) next->second = Address("192.0.2.1", 1);
      return next;
    }
    bool verify_request(Connection&, const Address& client_address) override {
      seen = client_address.host();
      return true;
    }
    std::string seen;
  };
  Wrapping server(loopback());
  StreamClient client(server.server_address());
  server.handle_request();
  CHECK(server.seen == "192.0.2.1");
  CHECK(client.read_all() == "hello\n");
}

}  // namespace
