/// What layers do before the handler exists.

#include <doctest/doctest.h>
#include <unistd.h>

#include <atomic>
#include <optional>
#include <sockserv.hpp>
#include <string>
#include <vector>

#include "../acting.hpp"
#include "support/serving.hpp"
#include "support/support.hpp"

namespace {

using namespace sockserv;
using namespace std::chrono_literals;
using namespace support;

/// Says whom it serves, and what it has read.
struct Introduces : StreamRequestHandler {
  void handle() override {
    wfile.write("for " + client_address.to_string() + "\n");
    while (const auto line = rfile.readline()) wfile.write(*line);
  }
};

/// Reads one character off the connection.
char next_byte(Connection& request) {
  char byte = 0;
  request.recv_exactly(boost::asio::buffer(&byte, 1));
  return byte;
}

/// A layer that reads a byte, which must be the one it expects.
template <class Server>
struct ExpectsByte : Server {
  using Server::Server;
  ~ExpectsByte() override {
    this->begin_destruction(typeid(ExpectsByte));
    this->abort_and_wait();
  }
  char expected = 'a';

  void prepare_request(Connection& request, Address& client_address) override {
    Server::prepare_request(request, client_address);
    if (next_byte(request) != expected) throw std::runtime_error(std::string("no ") + expected);
    this->log(LogLevel::info, std::string("found ") + expected);
  }
};

/// A layer that knows better whom the server talks to.
template <class Server>
struct KnowsTheClient : Server {
  using Server::Server;
  ~KnowsTheClient() override { this->server_close(); }

  void prepare_request(Connection& request, Address& client_address) override {
    Server::prepare_request(request, client_address);
    client_address = Address("192.0.2.1", 7);
  }
};

#define STREAM_SERVERS                                                                           \
  TCPServer<Introduces>, ThreadingTCPServer<Introduces>, ThreadPoolTCPServer<Introduces>,        \
      ForkingTCPServer<Introduces>, PreForkingTCPServer<Introduces>, FiberTCPServer<Introduces>, \
      PreForkingMixIn<FiberTCPServer<Introduces>>

TEST_CASE_TEMPLATE("prepare_request: layers read before the handler, the innermost first", Server, STREAM_SERVERS) {
  Lines lines;
  struct Layered : ExpectsByte<ExpectsByte<Server>> {
    using ExpectsByte<ExpectsByte<Server>>::ExpectsByte;
    ~Layered() override { this->server_close(); }
  };
  Layered server(loopback(), {.log = lines.sink()});
  server.ExpectsByte<Server>::expected = 'i';
  server.expected = 'o';
  const ServerThread background(server);
  StreamClient client(server.server_address());
  client.send("iorest\n");
  CHECK(client.read_line() == "for " + client.address().to_string() + "\n");
  CHECK(client.read_line() == "rest\n");
  client.close();
}

TEST_CASE_TEMPLATE("prepare_request: what a layer throws refuses the request, and the server goes on", Server,
                   STREAM_SERVERS) {
  ExpectsByte<Server> server(loopback(), quiet());
  const ServerThread background(server);
  StreamClient refused(server.server_address());
  refused.send("x");
  CHECK(refused.read_all().empty());
  CHECK(eventually([&] { return server.stats().handler_errors == 1; }));
  StreamClient welcome(server.server_address());
  welcome.send("a");
  CHECK(welcome.read_line().starts_with("for "));
}

TEST_CASE_TEMPLATE("prepare_request: the address that a layer finds is the handler's, and that of errors", Server,
                   STREAM_SERVERS) {
  struct Layered : ExpectsByte<KnowsTheClient<Server>> {
    using ExpectsByte<KnowsTheClient<Server>>::ExpectsByte;
    ~Layered() override { this->server_close(); }
    void handle_error(const Address& client_address, std::exception_ptr error) override {
      *reported = client_address == Address("192.0.2.1", 7);
      ExpectsByte<KnowsTheClient<Server>>::handle_error(client_address, error);
    }
    std::atomic<bool>* reported = nullptr;
  };
  const Shared<std::atomic<bool>> reported;
  Layered server(loopback(), quiet());
  server.reported = &*reported;
  const ServerThread background(server);
  {
    StreamClient client(server.server_address());
    client.send("a");
    CHECK(client.read_line() == "for 192.0.2.1:7\n");
  }
  StreamClient refused(server.server_address());
  refused.send("x");
  CHECK(refused.read_all().empty());
  CHECK(eventually([&] { return reported->load(); }));
}

TEST_CASE_TEMPLATE("prepare_request: a client that is slow with it is aborted in time", Server, STREAM_SERVERS) {
  Lines lines;
  ExpectsByte<Server> server(loopback(), {.prepare_timeout = 20ms, .log = lines.sink()});
  const ServerThread background(server);
  StreamClient silent(server.server_address());
  CHECK(silent.read_all().empty());
  CHECK(eventually([&] { return server.stats().aborted_prepare_timeout == 1; }));
  CHECK(server.stats().handler_errors == 0);
  // The handler's time is its own.
  StreamClient client(server.server_address());
  client.send("a");
  CHECK(client.read_line().starts_with("for "));
  std::this_thread::sleep_for(60ms);  // longer than the timeout, which must not matter any more
  client.send("late\n");
  CHECK(client.read_line() == "late\n");
}

TEST_CASE("prepare_request: bytes that come one at a time share one timeout") {
  struct ExpectsMany : ThreadingTCPServer<Introduces> {
    using ThreadingTCPServer<Introduces>::ThreadingTCPServer;
    ~ExpectsMany() override { server_close(); }
    void prepare_request(Connection& request, Address&) override {
      for (;;) next_byte(request);
    }
  };
  ExpectsMany server(loopback(), quiet({.prepare_timeout = 50ms}));
  const ServerThread background(server);
  StreamClient client(server.server_address());
  const auto trickle = [&] {
    try {
      client.send("x");
      std::this_thread::sleep_for(5ms);
    } catch (const std::system_error&) {  // it was closed
    }
    return server.stats().aborted_prepare_timeout == 1;
  };
  CHECK(eventually(trickle));
}

TEST_CASE("prepare_request: a mixin that calls finish_request itself does not pass by the layers") {
  struct Direct : TCPServer<Introduces> {
    using TCPServer<Introduces>::TCPServer;
    ~Direct() override { server_close(); }
    void process_request(Connection& request, const Address& client_address) override {
      finish_request(request, client_address);
      shutdown_request(request);
    }
  };
  ExpectsByte<KnowsTheClient<Direct>> server(loopback(), quiet());
  const ServerThread background(server);
  StreamClient client(server.server_address());
  client.send("a");
  CHECK(client.read_line() == "for 192.0.2.1:7\n");
  client.close();
  StreamClient refused(server.server_address());
  refused.send("x");
  CHECK(refused.read_all().empty());
}

TEST_CASE("prepare_request: a request that a layer refused is not prepared, however often somebody tries") {
  struct Insists : TCPServer<Introduces> {
    using TCPServer<Introduces>::TCPServer;
    ~Insists() override { server_close(); }
    void process_request(Connection& request, const Address& client_address) override {
      for (int i = 0; i < 2; ++i) {
        refusals += detail::error_of([&] { finish_request(request, client_address); }) != nullptr;
      }
      shutdown_request(request);
    }
    std::atomic<int> refusals = 0;
  };
  ExpectsByte<Insists> server(loopback(), quiet());
  const ServerThread background(server);
  StreamClient client(server.server_address());
  client.send("xx");
  CHECK(client.read_all().empty());
  CHECK(server.refusals == 2);
}

TEST_CASE("prepare_request: a layer that replaces the connection is called once") {
  struct Replaces : ThreadingTCPServer<Introduces> {
    using ThreadingTCPServer<Introduces>::ThreadingTCPServer;
    ~Replaces() override { server_close(); }
    void prepare_request(Connection& request, Address& client_address) override {
      ++calls;
      request = Connection(detail::Descriptor(::dup(request.fileno())), client_address);
    }
    std::atomic<int> calls = 0;
  };
  Replaces server(loopback(), quiet());
  const ServerThread background(server);
  StreamClient client(server.server_address());
  CHECK(client.read_line().starts_with("for "));
  client.close();
  CHECK(server.calls == 1);
}

TEST_CASE("prepare_request: an error after the handler is reported with the address that a layer found") {
  struct Fails : KnowsTheClient<ThreadingTCPServer<Introduces>> {
    using KnowsTheClient<ThreadingTCPServer<Introduces>>::KnowsTheClient;
    ~Fails() override { server_close(); }
    void process_request_thread(Connection& request, const Address& client_address) override {
      KnowsTheClient::process_request_thread(request, client_address);
      throw std::runtime_error("afterwards");
    }
    void handle_error(const Address& client_address, std::exception_ptr) override {
      reported = client_address.to_string();
      has_reported = true;
    }
    std::string reported;
    std::atomic<bool> has_reported = false;
  };
  Fails server(loopback(), quiet());
  const ServerThread background(server);
  StreamClient client(server.server_address());
  CHECK(client.read_line() == "for 192.0.2.1:7\n");
  client.close();
  CHECK(eventually([&] { return server.has_reported.load(); }));
  CHECK(server.reported == "192.0.2.1:7");
}

TEST_CASE("prepare_request: a server that stops does not wait for a client that is slow with it") {
  ExpectsByte<ThreadingTCPServer<Introduces>> server(loopback(), quiet());
  ServerThread background(server);
  const StreamClient silent(server.server_address());
  CHECK(eventually([&] { return server.requests_running() == 1; }));
  CHECK(server.drain(5ms).aborted == 1);
  background.stop();
}

TEST_CASE_TEMPLATE("prepare_request: datagrams have it too", Server, UDPServer<EchoPacket>,
                   ThreadingUDPServer<EchoPacket>, ForkingUDPServer<EchoPacket>, FiberUDPServer<EchoPacket>) {
  struct Selective : Server {
    using Server::Server;
    ~Selective() override { this->server_close(); }
    void prepare_request(Datagram& request, Address& client_address) override {
      Server::prepare_request(request, client_address);
      if (request.packet() == "bad") throw std::runtime_error("bad");
    }
  };
  Selective server(loopback(), quiet());
  const ServerThread background(server);
  DatagramClient client(server.server_address());
  client.send("bad");
  client.send("good");
  CHECK(client.receive() == "good");
  CHECK(eventually([&] { return server.stats().handler_errors == 1; }));
}

TEST_CASE("prepare_request: the answer to a datagram goes to its sender, even if a layer names another client") {
  struct Introduced : DatagramRequestHandler {
    void handle() override { wfile.write(client_address.to_string()); }
  };
  struct Proxied : UDPServer<Introduced> {
    using UDPServer<Introduced>::UDPServer;
    ~Proxied() override { server_close(); }
    void prepare_request(Datagram&, Address& client_address) override { client_address = Address("192.0.2.1", 7); }
  };
  Proxied server(loopback(), quiet());
  const ServerThread background(server);
  DatagramClient client(server.server_address());
  client.send("who?");
  CHECK(client.receive() == "192.0.2.1:7");
}

}  // namespace
