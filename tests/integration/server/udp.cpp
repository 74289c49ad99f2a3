#include <sockserv/server/udp.hpp>  // first, to test that it is self-contained

#include <doctest/doctest.h>

#include <future>
#include <sockserv.hpp>

#include "support/support.hpp"

namespace {

using namespace sockserv;
using namespace support;

struct Describe : DatagramRequestHandler {
  void handle() override {
    wfile.write(std::to_string(packet.size()) + (request.truncated() ? " truncated" : " whole"));
  }
};

TEST_CASE("a datagram longer than max_packet_size is cut, and says so") {
  UDPServer<Describe> server(loopback(), {.max_packet_size = 10});
  DatagramClient client(server.server_address());
  client.send(std::string(10, 'x'));
  server.handle_request();
  CHECK(client.receive() == "10 whole");
  client.send(std::string(100, 'x'));
  server.handle_request();
  CHECK(client.receive() == "10 truncated");
}

TEST_CASE("the largest datagram arrives whole") {
  UDPServer<Describe> server(loopback());
  DatagramClient client(server.server_address());
  client.send(std::string(65507, 'x'));
  server.handle_request();
  CHECK(client.receive() == "65507 whole");
}

TEST_CASE("an empty datagram is a request like any other") {
  UDPServer<Describe> server(loopback());
  DatagramClient client(server.server_address());
  client.send("");
  server.handle_request();
  CHECK(client.receive() == "0 whole");
}

TEST_CASE("a reply is sent only if something was written, be it nothing") {
  struct Choosy : DatagramRequestHandler {
    void handle() override {
      if (packet == "empty") wfile.write("");
      if (packet == "text") wfile.write("text");
    }
  };
  UDPServer<Choosy> server(loopback());
  DatagramClient client(server.server_address());
  client.send("none");
  server.handle_request();
  CHECK(client.receive_soon() == std::nullopt);
  client.send("empty");
  server.handle_request();
  CHECK(client.receive().empty());
  client.send("text");
  server.handle_request();
  CHECK(client.receive() == "text");
}

TEST_CASE("a reply too large for the network is the handler's error only") {
  struct TooMuch : DatagramRequestHandler {
    void handle() override { wfile.write(packet == "ok" ? "ok" : std::string(65508, 'x')); }
  };
  UDPServer<TooMuch> server(loopback(), quiet());
  DatagramClient client(server.server_address());
  client.send("too much");
  server.handle_request();
  CHECK(server.stats().handler_errors == 1);
  client.send("ok");
  server.handle_request();
  CHECK(client.receive() == "ok");
}

TEST_CASE("a reply to a port where nobody listens is no error, and serving goes on") {
  UDPServer<Describe> server(loopback());
  DatagramClient client(server.server_address());
  DatagramClient gone(server.server_address());
  gone.send("x");
  gone.close();
  server.handle_request();
  client.send("abc");
  server.handle_request();
  CHECK(client.receive() == "3 whole");
  CHECK(server.stats().handler_errors == 0);
}

TEST_CASE("a reply in progress when the server closes goes out by the socket it came through") {
  static std::promise<void> started;
  static std::promise<void> go;
  struct Slow : DatagramRequestHandler {
    void handle() override {
      started.set_value();
      go.get_future().wait();
      wfile.write("late but right");
    }
  };
  ThreadingUDPServer<Slow> server(loopback());
  server.block_on_close = false;
  DatagramClient client(server.server_address());
  client.send("x");
  server.handle_request();
  started.get_future().wait();
  server.server_close();
  CHECK(server.fileno() == -1);
  const detail::Descriptor reused(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));  // would take the closed number
  go.set_value();
  CHECK(client.receive() == "late but right");
}

TEST_CASE("a handler may send several datagrams, to whom it likes") {
  struct Thrice : DatagramRequestHandler {
    void handle() override {
      for (const char* part : {"1", "2", "3"}) socket.sendto(part, client_address);
      CHECK(socket.getsockname() == server.server_address());
    }
  };
  UDPServer<Thrice> server(loopback());
  DatagramClient client(server.server_address());
  client.send("x");
  server.handle_request();
  for (const char* part : {"1", "2", "3"}) CHECK(client.receive() == part);
}

}  // namespace
