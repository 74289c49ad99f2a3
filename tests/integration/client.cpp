#include <sockserv/client.hpp>  // first, to test that it is self-contained

#include <doctest/doctest.h>
#include <netinet/in.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <sockserv.hpp>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "integration/acting.hpp"
#include "support/support.hpp"

namespace {

using namespace acting;
using namespace support;
using std::chrono::steady_clock;

const Address any_port("127.0.0.1", 0);

struct Echo final : StreamRequestHandler {
  void handle() override {
    for (std::string_view line : rfile) wfile.write(line);
  }
};

struct EchoPacket final : DatagramRequestHandler {
  void handle() override { wfile.write(packet); }
};

#define SERVERS_OF_HANDLERS                                                                         \
  TCPServer<Actor>, ThreadingTCPServer<Actor>, ThreadPoolTCPServer<Actor>, ForkingTCPServer<Actor>, \
      FiberTCPServer<Actor>

/// A socket that listens, and accepts nothing by itself.
class Listener {
 public:
  explicit Listener(const Address& address, int backlog = 16)
      : socket_(::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    REQUIRE(::bind(socket_.get(), address.data(), address.size()) == 0);
    REQUIRE(::listen(socket_.get(), backlog) == 0);
  }
  Address address() const { return detail::ServerSocket::address_of(socket_.get()); }
  detail::Descriptor accept() const {
    return detail::Descriptor(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  }

 private:
  detail::Descriptor socket_;
};

/// A listener that does not answer those who connect: its backlog is full.
class FullListener {
 public:
  explicit FullListener(const Address& address = any_port) : listener_(address, 0) {
    for (int i = 0; i < 3; ++i) {
      const Address full = listener_.address();
      others_.emplace_back(::socket(full.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
      static_cast<void>(::connect(others_.back().get(), full.data(), full.size()));
    }
  }
  Address address() const { return listener_.address(); }
  detail::Descriptor accept() const { return listener_.accept(); }

 private:
  Listener listener_;
  std::vector<detail::Descriptor> others_;
};

/// A port on which nobody listens.
Address closed_port() { return Listener(any_port).address(); }

template <class Error = boost::system::system_error, class Function>
std::string message_of(Function&& function) {
  try {
    function();
  } catch (const Error& error) {
    return error.what();
  }
  return "nothing was thrown";
}

bool contains(const std::string& text, const std::string& part) { return text.find(part) != text.npos; }

std::string abstract_name(std::string_view name) {
  std::string path(1, '\0');
  path += name;
  return path;
}

TEST_CASE("client: a connection has the files of a handler, over TCP and Unix sockets") {
  const TemporaryFolder folder;
  const auto talk_to = [](AbstractServer& server) {
    const ServerThread background(server);
    ClientConnection connection = create_connection(server.server_address());
    connection.wfile.write("one\ntwo\nthree");
    CHECK(connection.rfile.readline() == "one\n");
    CHECK(connection.rfile.readline() == "two\n");
    connection.shutdown(SHUT_WR);
    CHECK(connection.rfile.read() == "three");
    CHECK(!connection.rfile.readline());
    CHECK(connection.connection.getpeername() == server.server_address());
    CHECK(connection.rfile.fileno() == connection.connection.fileno());
  };
  ThreadingTCPServer<Echo> tcp(any_port);
  talk_to(tcp);
  ThreadingUnixStreamServer<Echo> by_path(folder / "server");
  talk_to(by_path);
  ThreadingUnixStreamServer<Echo> abstract(abstract_name(folder / "server"));
  talk_to(abstract);
}

TEST_CASE("client: a host can be a name, a number or an address") {
  ThreadingTCPServer<Echo> server(any_port);
  const ServerThread background(server);
  const int port = server.server_address().port();
  for (const Destination& destination :
       {Destination("localhost", port), Destination("127.0.0.1", port), Destination(server.server_address())}) {
    ClientConnection connection = create_connection(destination, 30s);
    CHECK(connection.connection.getpeername() == server.server_address());
    connection.wfile.write("here\n");
    CHECK(connection.rfile.readline() == "here\n");
  }
  CHECK(Destination("localhost", 80).to_string() == "localhost:80");
  CHECK(Destination("::1", 80).to_string() == "[::1]:80");
  CHECK(Destination("/run/server").to_string() == "/run/server");
}

TEST_CASE("client: a destination that makes no sense is refused") {
  CHECK_THROWS_WITH_AS(Destination("", 80), "the host to connect to is empty; this machine is \"localhost\"",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(Destination("localhost", 0), "port 0 is out of range: 1 to 65535", std::invalid_argument);
  CHECK_THROWS_AS(Destination("localhost", 65536), std::invalid_argument);
  CHECK_THROWS_WITH_AS(Destination{Address()}, "the address to connect to is empty", std::invalid_argument);
  CHECK_THROWS_WITH_AS(Destination(std::vector<Address>()), "there is no address to connect to", std::invalid_argument);
  CHECK_THROWS_AS(create_connection(closed_port(), 0s), std::invalid_argument);
  ThreadingTCPServer<Echo> server(any_port);
  CHECK_THROWS_AS(create_connection(server.server_address(), 30s, {.rbufsize = 0}), std::invalid_argument);
  CHECK_THROWS_AS(create_connection(server.server_address(), 30s, {.timeout = 0s}), std::invalid_argument);
}

TEST_CASE("client: a connection that is refused is an error that names the address") {
  const Address nobody = closed_port();
  CHECK(message_of([&] { create_connection(nobody); }) ==
        "cannot connect to " + nobody.to_string() + ": Connection refused [system:111]");
  CHECK(contains(message_of([&] { create_connection({"localhost", nobody.port()}); }),
                 nobody.to_string() + ": Connection refused"));

  const TemporaryFolder folder;
  CHECK(contains(message_of([&] { create_connection(folder / "nobody"); }),
                 "cannot connect to " + (folder / "nobody") + ": No such file or directory"));
  CHECK_FALSE(is_peer_gone(detail::error_of([&] { create_connection(nobody); })));
}

TEST_CASE("client: a name that cannot be resolved is an error that names it") {
  CHECK(contains(message_of([] { create_connection({"not a host", 80}); }), "cannot resolve host 'not a host'"));
}

TEST_CASE("client: looking a name up is part of the timeout") {
  CHECK_THROWS_AS(Destination("localhost", 80).addresses(steady_clock::now()), timeout_error);
}

TEST_CASE("client: of several addresses the first that accepts is taken") {
  ThreadingTCPServer<Echo> server(any_port);
  const ServerThread background(server);
  const FullListener silent;
  const TemporaryFolder folder;
  const ClientConnection connection =
      create_connection(Destination({closed_port(), folder / "nobody", silent.address(), server.server_address()}), 2s);
  CHECK(connection.connection.getpeername() == server.server_address());
}

TEST_CASE("client: if none of several addresses accepts, the error names each and why") {
  const Address first = closed_port();
  const FullListener silent;
  const Address last = closed_port();
  const std::string message =
      message_of([&] { create_connection(Destination({first, silent.address(), last}), 100ms); });
  CHECK(contains(message, first.to_string() + ": Connection refused; "));
  CHECK(contains(message, silent.address().to_string() + ": timed out; "));
  CHECK(contains(message, last.to_string() + ": Connection refused)"));
}

TEST_CASE("client: connecting takes no longer than its timeout") {
  const FullListener silent;
  const auto start = steady_clock::now();
  CHECK(contains(message_of<timeout_error>([&] { create_connection(silent.address(), 50ms); }),
                 "cannot connect to " + silent.address().to_string()));
  CHECK(steady_clock::now() - start >= 50ms);

  const TemporaryFolder folder;
  const FullListener silent_by_path(Address(folder / "server"));
  CHECK_THROWS_AS(create_connection(silent_by_path.address(), 50ms), timeout_error);
}

TEST_CASE("client: a Unix socket whose backlog is full is waited for") {
  const TemporaryFolder folder;
  const FullListener busy(Address(folder / "server"));
  std::atomic<bool> connected = false;
  std::thread client([&] {
    const ClientConnection connection = create_connection(busy.address(), patience);
    connected = true;
  });
  std::vector<detail::Descriptor> accepted;
  accepted.push_back(busy.accept());
  CHECK(eventually([&] { return connected.load(); }));
  client.join();
}

TEST_CASE("client: the settings are those of a handler") {
  const Listener silent(any_port);
  ClientConnection connection =
      create_connection(silent.address(), 30s, {.timeout = 5ms, .disable_nagle_algorithm = true});
  CHECK(connection.connection.gettimeout() == 5ms);
  CHECK_THROWS_AS(connection.rfile.readline(), timeout_error);
  connection.connection.settimeout(6ms);
  CHECK_THROWS_AS(connection.connection.recv(1), timeout_error);

  // The timeout of connecting is not that of what follows.
  CHECK(!create_connection(silent.address(), 30s).connection.gettimeout());
}

TEST_CASE("client: a buffered wfile is flushed before rfile waits, by shutdown, by close, and at the end") {
  const Listener listener(any_port);
  const auto received = [](const detail::Descriptor& from, std::size_t count) {
    std::string bytes(count, '\0');
    bytes.resize(static_cast<std::size_t>(std::max<ssize_t>(0, ::recv(from.get(), bytes.data(), count, MSG_WAITALL))));
    return bytes;
  };
  const auto nothing_from = [](const detail::Descriptor& from) {
    char byte = 0;
    return ::recv(from.get(), &byte, 1, MSG_DONTWAIT) < 0;
  };
  detail::Descriptor peer;
  {
    ClientConnection connection = create_connection(listener.address(), 30s, {.wbufsize = 100, .timeout = 5ms});
    peer = listener.accept();
    connection.wfile.write("one");
    CHECK(nothing_from(peer));
    CHECK_THROWS_AS(connection.rfile.readline(), timeout_error);
    CHECK(received(peer, 3) == "one");
    connection.wfile.write("two");
    connection.shutdown(SHUT_WR);
    CHECK(received(peer, 10) == "two");
  }
  {
    ClientConnection connection = create_connection(listener.address(), 30s, {.wbufsize = 100});
    peer = listener.accept();
    connection.wfile.write("three");
    connection.close();
    CHECK(received(peer, 10) == "three");
    connection.close();
    CHECK(connection.connection.fileno() == -1);
    CHECK_THROWS_AS(connection.connection.sendall("more"), boost::system::system_error);
  }
  {
    ClientConnection connection = create_connection(listener.address(), 30s, {.wbufsize = 100});
    peer = listener.accept();
    connection.wfile.write("four");
  }
  CHECK(received(peer, 10) == "four");
}

TEST_CASE("client: close reports what could not be sent, and closes; the end of the scope only closes") {
  const Listener listener(any_port);
  ClientConnection connection = create_connection(listener.address(), 30s, {.wbufsize = 100});
  ClientConnection unattended = create_connection(listener.address(), 30s, {.wbufsize = 100});
  for (ClientConnection* const each : {&connection, &unattended}) {
    each->wfile.write("lost");
    each->connection.shutdown(SHUT_WR);
  }
  CHECK_THROWS_AS(connection.close(), peer_gone_error);
  CHECK(connection.connection.fileno() == -1);
}

TEST_CASE_TEMPLATE("client: a handler talks to another server", Server, SERVERS_OF_HANDLERS) {
  ThreadingTCPServer<Echo> upstream(any_port);
  const ServerThread background(upstream);
  const int port = upstream.server_address().port();
  CHECK(told_by<Server>([port](StreamRequestHandler& handler) {
          ClientConnection connection = create_connection({"localhost", port}, 30s, {.wbufsize = 100});
          connection.wfile.write("by way of another\n");
          handler.wfile.write(*connection.rfile.readline());
        }) == "by way of another\n");
}

/// Answers nobody before that many clients have spoken.
struct Gathering {
  explicit Gathering(std::size_t count) : wanted(count) {}
  void arrive() {
    std::unique_lock lock(mutex);
    if (++arrived == wanted) all_there.notify_all();
    all_there.wait_for(lock, patience, [&] { return arrived >= wanted; });
  }
  std::mutex mutex;
  std::condition_variable all_there;
  std::size_t arrived = 0;
  std::size_t wanted;
};

TEST_CASE("client: a hundred fibers of one loop, each with a connection of its own, hold up none") {
  constexpr std::size_t count = 100;
  Gathering gathering(count);
  Acting<ThreadingTCPServer<Actor>> upstream([&](StreamRequestHandler& handler) {
    for (std::string_view line : handler.rfile) {
      const std::string answer(line);
      gathering.arrive();
      handler.wfile.write(answer);
    }
  });
  const ServerThread background(upstream);
  const Address address = upstream.server_address();
  OneLoop proxy([address](StreamRequestHandler& handler) {
    ClientConnection connection = create_connection(address, patience);
    for (std::string_view line : handler.rfile) {
      connection.wfile.write(line);
      const auto answer = connection.rfile.readline();
      handler.wfile.write(answer ? *answer : "no answer\n");
    }
  });
  const ServerThread serving(proxy);
  std::vector<StreamClient> clients;
  for (std::size_t i = 0; i < count; ++i) {
    clients.emplace_back(proxy.server_address());
    clients.back().send("client " + std::to_string(i) + "\n");
  }
  for (std::size_t i = 0; i < count; ++i) CHECK(clients[i].read_line() == "client " + std::to_string(i) + "\n");
  for (int round = 0; round < 20; ++round) {
    for (StreamClient& client : clients) client.send("again\n");
    for (StreamClient& client : clients) REQUIRE(client.read_line() == "again\n");
  }
}

TEST_CASE("client: a fiber forwards more than fits into any buffer, in both directions") {
  ThreadingTCPServer<Echo> upstream(any_port);
  const ServerThread background(upstream);
  const Address address = upstream.server_address();
  OneLoop proxy([address](StreamRequestHandler& handler) {
    ClientConnection connection = create_connection(address, patience);
    const std::string all = handler.rfile.read();
    std::thread sender([&] {  // a plain thread that uses the connection of a fiber blocks, as elsewhere
      connection.wfile.write(all);
      connection.shutdown(SHUT_WR);
    });
    std::string answer;
    for (std::string part; !(part = connection.connection.recv(65536)).empty();) answer += part;
    sender.join();
    handler.wfile.write(answer);
  });
  const ServerThread serving(proxy);
  std::string sent;
  for (int i = 0; i < 400'000; ++i) sent += "line " + std::to_string(i) + "\n";
  StreamClient client(proxy.server_address());
  client.send(sent);
  client.shutdown_write();
  std::string answer;
  for (std::string line; !(line = client.read_line()).empty();) answer += line;
  CHECK(answer == sent);
}

TEST_CASE("client: a fiber sends to a server that is slow to read, and others run meanwhile") {
  const Listener slow(any_port);
  const Address address = slow.address();
  const std::string much(std::size_t{32} << 20, 'x');
  OneLoop server([&](StreamRequestHandler& handler) {
    if (handler.rfile.readline() == "ping\n") {
      handler.wfile.write("pong\n");
      return;
    }
    ClientConnection connection = create_connection(address, patience);
    handler.wfile.write("connected\n");
    connection.connection.sendall(much);
    handler.wfile.write("sent\n");
  });
  const ServerThread background(server);
  StreamClient sender(server.server_address());
  sender.send("send\n");
  CHECK(sender.read_line() == "connected\n");
  const detail::Descriptor peer = slow.accept();
  StreamClient other(server.server_address());
  other.send("ping\n");
  CHECK(other.read_line() == "pong\n");
  std::string buffer(std::size_t{1} << 20, '\0');
  std::size_t received = 0;
  while (received < much.size()) {
    const ssize_t count = ::recv(peer.get(), buffer.data(), buffer.size(), 0);
    REQUIRE(count > 0);
    received += static_cast<std::size_t>(count);
  }
  CHECK(sender.read_line() == "sent\n");
}

TEST_CASE("client: a fiber makes one connection after another, under the same descriptor, between its client's lines") {
  ThreadingTCPServer<Echo> upstream(any_port);
  const ServerThread background(upstream);
  const Address address = upstream.server_address();
  OneLoop proxy([address](StreamRequestHandler& handler) {
    for (std::string_view line : handler.rfile) {
      ClientConnection connection = create_connection(address, patience);
      connection.wfile.write(line);
      handler.wfile.write(*connection.rfile.readline());
    }
  });
  const ServerThread serving(proxy);
  StreamClient client(proxy.server_address());
  for (int i = 0; i < 200; ++i) {
    client.send(std::to_string(i) + "\n");
    REQUIRE(client.read_line() == std::to_string(i) + "\n");
  }
}

TEST_CASE_TEMPLATE("client: the timeouts of a connection and of the handler's client are apart", Server,
                   SERVERS_OF_HANDLERS) {
  const Listener silent(any_port);
  const Address address = silent.address();
  Acting<Server> server([address](StreamRequestHandler& handler) {
    ClientConnection connection = create_connection(address, patience, {.timeout = 5ms});
    CHECK_THROWS_AS(connection.rfile.readline(), timeout_error);
    handler.wfile.write("silent\n");
    CHECK(handler.rfile.readline() == "and the client is waited for\n");
    handler.request.settimeout(5ms);
    connection.connection.settimeout(std::nullopt);
    CHECK_THROWS_AS(handler.rfile.readline(), timeout_error);
    handler.wfile.write("done\n");
  });
  const ServerThread background(server);
  StreamClient client(server.server_address());
  CHECK(client.read_line() == "silent\n");
  std::this_thread::sleep_for(20ms);  // longer than the connection's limit
  client.send("and the client is waited for\n");
  CHECK(client.read_line() == "done\n");
}

TEST_CASE("client: a connection passes from one fiber to another") {
  ThreadingTCPServer<Echo> upstream(any_port);
  const ServerThread background(upstream);
  ClientConnection shared = create_connection(upstream.server_address(), patience);
  OneLoop server([&shared](StreamRequestHandler& handler) {
    for (std::string_view line : handler.rfile) {
      shared.wfile.write(line);
      handler.wfile.write(*shared.rfile.readline());
    }
  });
  const ServerThread serving(server);
  StreamClient first(server.server_address());
  StreamClient second(server.server_address());
  for (int i = 0; i < 20; ++i) {
    for (StreamClient* const client : {&first, &second}) {
      client->send("in turn\n");
      REQUIRE(client->read_line() == "in turn\n");
    }
  }
}

TEST_CASE_TEMPLATE("client: what a handler waits for elsewhere ends when the server aborts its requests", Server,
                   ThreadingTCPServer<Actor>, ThreadPoolTCPServer<Actor>, FiberTCPServer<Actor>) {
  const Listener silent(any_port);
  const FullListener full;
  const TemporaryFolder folder;
  const FullListener full_by_path(Address(folder / "server"));
  const Listener nobody(any_port);
  std::atomic<int> waiting = 0;
  std::atomic<int> ended = 0;
  const auto wait = [&](const auto& operation) {
    return [&, operation](StreamRequestHandler&) {
      ++waiting;
      CHECK_THROWS_AS(operation(), limit_error);
      ++ended;
    };
  };
  std::vector<Action> actions{
      [&](StreamRequestHandler&) {
        ClientConnection connection = create_connection(silent.address());
        ++waiting;
        CHECK(!connection.rfile.readline());  // it is shut down, as the client's own connection
        ++ended;
      },
      wait([&] { create_connection(full.address()); }),
      wait([&] { create_connection(full_by_path.address()); }),
      wait([&] { DatagramEndpoint(nobody.address()).receive(); }),
  };
  std::atomic<std::size_t> next = 0;
  Acting<Server> server([&](StreamRequestHandler& handler) { actions[next++](handler); }, quiet());
  const ServerThread background(server);
  std::vector<StreamClient> clients;
  for (std::size_t i = 0; i < actions.size(); ++i) clients.emplace_back(server.server_address());
  CHECK(eventually([&] { return waiting == 4; }));
  CHECK(server.drain(1ms).remaining == 0);
  CHECK(ended == 4);
}

TEST_CASE("client: datagrams, over UDP and Unix sockets, with their senders") {
  const TemporaryFolder folder;
  const auto talk_to = [](AbstractServer& server) {
    const ServerThread background(server);
    DatagramEndpoint client(server.server_address());
    CHECK(client.getpeername() == server.server_address());
    for (const std::string& packet : {std::string("one"), std::string(), std::string(60'000, 'x')}) {
      client.send(packet);
      const auto [content, sender] = client.receive(patience);
      CHECK(content == packet);
      CHECK(sender == server.server_address());
    }
    CHECK_THROWS_AS(client.receive(5ms), timeout_error);
    CHECK_THROWS_AS(client.receive(0ms), std::invalid_argument);
  };
  UDPServer<EchoPacket> udp(any_port);
  talk_to(udp);
  UnixDatagramServer<EchoPacket> by_path(folder / "server");
  talk_to(by_path);
  UnixDatagramServer<EchoPacket> abstract(abstract_name(folder / "server"));
  talk_to(abstract);

  CHECK(DatagramEndpoint(Destination("localhost", 80)).getpeername() == Address("127.0.0.1", 80));
  DatagramEndpoint nobody(folder / "nobody");
  CHECK_THROWS_AS(nobody.send("anyone?"), boost::system::system_error);
}

TEST_CASE_TEMPLATE("client: a handler exchanges datagrams with another server", Server, SERVERS_OF_HANDLERS) {
  UDPServer<EchoPacket> upstream(any_port);
  const ServerThread background(upstream);
  const Address address = upstream.server_address();
  CHECK(told_by<Server>([address](StreamRequestHandler& handler) {
          DatagramEndpoint client(address);
          CHECK_THROWS_AS(client.receive(5ms), timeout_error);
          client.send("a packet");
          handler.wfile.write(client.receive(patience).content);
        }) == "a packet");
}

TEST_CASE("client: a fiber that waits for a datagram holds up no other") {
  OneLoop server([&](StreamRequestHandler& handler) {
    if (handler.rfile.readline() == "wait\n") {
      DatagramEndpoint client(Address("127.0.0.1", 9));
      CHECK_THROWS_AS(client.receive(), limit_error);
    } else {
      handler.wfile.write("pong\n");
    }
  });
  const ServerThread background(server);
  StreamClient waiting(server.server_address());
  waiting.send("wait\n");
  StreamClient other(server.server_address());
  other.send("ping\n");
  CHECK(other.read_line() == "pong\n");
  CHECK(server.drain(1ms).remaining == 0);
}

}  // namespace
