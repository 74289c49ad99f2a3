/// A transport around another: what a layer that changes all bytes, such as encryption, can rely on.

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <sockserv/detail/transport_wrapper.hpp>
#include <string>
#include <thread>

#include "integration/acting.hpp"
#include "support/both_ends.hpp"
#include "support/support.hpp"

namespace {

using namespace acting;
using namespace support;
using boost::asio::buffer;
using detail::WaitLimit;

constexpr char key = 0x55;

std::string masked(std::string_view bytes) {
  std::string result(bytes);
  for (char& byte : result) byte = static_cast<char>(byte ^ key);
  return result;
}

/// Masks what is sent, unmasks what is received, and receives more than it is asked for.
class Mask final : public detail::TransportWrapper {
 public:
  std::size_t receive(int descriptor, std::span<const iovec> buffers, WaitLimit limit,
                      error_code& error) noexcept override {
    error.clear();
    if (ahead_.empty()) {
      std::array<char, 65536> space;
      const iovec target{space.data(), space.size()};
      ahead_ = masked({space.data(), inner().receive(descriptor, {&target, 1}, limit, error)});
    }
    const std::size_t count = std::min(ahead_.size(), buffers[0].iov_len);
    ahead_.copy(static_cast<char*>(buffers[0].iov_base), count);
    ahead_.erase(0, count);
    return count;
  }

  std::size_t send(int descriptor, std::span<const iovec> buffers, WaitLimit limit,
                   error_code& error) noexcept override {
    const std::string bytes = masked({static_cast<const char*>(buffers[0].iov_base), buffers[0].iov_len});
    const iovec source{const_cast<char*>(bytes.data()), bytes.size()};
    return inner().send(descriptor, {&source, 1}, limit, error);
  }

 private:
  bool holds_input() const noexcept override { return !ahead_.empty(); }

  std::string ahead_;
};

/// Returns the next bytes that a masked server sends.
std::string unmasked(const StreamClient& client, std::size_t count) {
  std::string bytes(count, '\0');
  CHECK(::recv(client.fileno(), bytes.data(), count, MSG_WAITALL) == static_cast<ssize_t>(count));
  return masked(bytes);
}

void mask(Connection& connection) { detail::wrap(connection, std::make_unique<Mask>()); }

/// Serves masked connections. They are masked before a runner has them, so it is under the mask that it puts its own.
template <class Server>
struct Masked : Acting<Server> {
  using Acting<Server>::Acting;
  ~Masked() override { this->server_close(); }
  bool verify_request(Connection& request, const Address&) override {
    mask(request);
    return true;
  }
};

/// Sends each line back.
void echoes(StreamRequestHandler& handler) {
  for (const std::string_view line : handler.rfile) handler.wfile.write(line);
}

/// Talks to a server that echoes, through the mask.
void check_masked_echo(AbstractServer& server) {
  const ServerThread background(server);
  StreamClient client(server.server_address());
  client.send(masked("one\ntwo\n"));
  client.shutdown_write();
  CHECK(masked(client.read_all()) == "one\ntwo\n");
}

TEST_CASE_TEMPLATE("wrapper: files read and write through it", Server, SERVERS_OF_ACTORS) {
  Masked<Server> server(echoes);
  check_masked_echo(server);
}

TEST_CASE_TEMPLATE("wrapper: a layer puts it around the transport before the handler exists", Server,
                   SERVERS_OF_ACTORS) {
  struct Layered : Acting<Server> {
    using Acting<Server>::Acting;
    ~Layered() override { this->server_close(); }
    void prepare_request(Connection& request, Address& client_address) override {
      Acting<Server>::prepare_request(request, client_address);
      mask(request);
    }
  };
  Layered server(echoes);
  check_masked_echo(server);
}

TEST_CASE_TEMPLATE("wrapper: a handler may put it around its own transport, and another around that", Server,
                   SERVERS_OF_ACTORS) {
  Acting<Server> server([](StreamRequestHandler& handler) {
    mask(handler.request);
    handler.wfile.write(*handler.rfile.readline());
    mask(handler.request);  // twice masked is not masked
    handler.wfile.write(*handler.rfile.readline());
  });
  const ServerThread background(server);
  StreamClient client(server.server_address());
  client.send(masked("masked\n"));
  CHECK(unmasked(client, 7) == "masked\n");
  client.send("plain\n");
  CHECK(client.read_all() == "plain\n");
}

TEST_CASE_TEMPLATE("wrapper: a timeout that was set before a runner took the connection is in force", Server,
                   SERVERS_OF_ACTORS) {
  struct Limited : Masked<Server> {
    using Masked<Server>::Masked;
    ~Limited() override { this->server_close(); }
    bool verify_request(Connection& request, const Address& client) override {
      request.settimeout(5ms);
      return Masked<Server>::verify_request(request, client);
    }
  };
  Limited server([](StreamRequestHandler& handler) {
    CHECK_THROWS_AS(handler.rfile.readline(), timeout_error);
    handler.request.settimeout(std::nullopt);
    handler.wfile.write("late\n");
    handler.wfile.write(*handler.rfile.readline());
  });
  const ServerThread background(server);
  StreamClient client(server.server_address());
  CHECK(unmasked(client, 5) == "late\n");
  client.send(masked("after all\n"));
  CHECK(masked(client.read_all()) == "after all\n");
}

/// Serves requests of a byte each, and leaves in `rfile` nothing of the next one: the wrapper holds that.
void serve_bytes(StreamRequestHandler& handler, const std::function<void()>& served) {
  while (handler.wait_for_next_request()) {
    handler.wfile.write(handler.rfile.read(1));
    served();
  }
}

template <class Server>
void set_rbufsize(Server& server, Action action) {
  server.handler_factory = [action = std::move(action)] {
    auto handler = std::make_unique<Actor>(action);
    handler->rbufsize = 1;
    return handler;
  };
}

TEST_CASE_TEMPLATE("wrapper: requests that it holds are there, though the socket shows nothing", Server,
                   SERVERS_OF_ACTORS) {
  Masked<Server> server([](StreamRequestHandler&) {});
  set_rbufsize(server, [](StreamRequestHandler& handler) { serve_bytes(handler, [] {}); });
  const ServerThread background(server);
  StreamClient client(server.server_address());
  client.send(masked("abc"));  // and keeps the connection open
  CHECK(unmasked(client, 3) == "abc");
  client.send(masked("d"));
  CHECK(unmasked(client, 1) == "d");
}

TEST_CASE_TEMPLATE("wrapper: requests that it holds when the server stops are served, and then the client is idle",
                   Server, TCPServer<Actor>, ThreadingTCPServer<Actor>, ThreadPoolTCPServer<Actor>,
                   FiberTCPServer<Actor>) {
  std::atomic<bool> began = false;
  std::atomic<bool> stopped = false;
  Masked<Server> server([](StreamRequestHandler&) {});
  set_rbufsize(server, [&](StreamRequestHandler& handler) {
    serve_bytes(handler, [&] {
      began = true;
      while (!stopped) this_request::sleep_for(1ms);
    });
  });
  std::thread serving([&] { server.serve_forever(1h); });
  StreamClient client(server.server_address());
  client.send(masked("abc"));
  CHECK(eventually([&] { return began.load(); }));
  std::thread stopping([&] { CHECK(server.drain(10s).aborted == 0); });
  CHECK(eventually([&] { return server.stop_requested(); }));
  stopped = true;
  CHECK(masked(client.read_all()) == "abc");
  stopping.join();
  serving.join();
}

TEST_CASE_TEMPLATE("wrapper: a server that stops ends a client that is idle", Server, SERVERS_OF_ACTORS) {
  Masked<Server> server([](StreamRequestHandler&) {});
  set_rbufsize(server, [](StreamRequestHandler& handler) { serve_bytes(handler, [] {}); });
  std::thread serving([&] { server.serve_forever(10ms); });
  StreamClient client(server.server_address());
  client.send(masked("a"));
  CHECK(unmasked(client, 1) == "a");
  CHECK(server.drain(10s).aborted == 0);
  serving.join();
  CHECK(client.read_all().empty());
}

TEST_CASE("wrapper: what it holds ends a wait for room") {
  BothEnds both;
  mask(both.request);
  both.peer.sendall(masked("input"));
  CHECK(both.request.recv(1) == "i");
  CHECK_FALSE(detail::is_readable(both.request.fileno()));
  const std::string bytes = pattern(1 << 20);
  while (both.request.send_unless_input(buffer(bytes)) > 0) continue;
  CHECK(both.request.recv(100) == "nput");
}

TEST_CASE("wrapper: on a fiber, what it holds ends a wait for room") {
  OneLoop server([](StreamRequestHandler& handler) {
    mask(handler.request);
    CHECK(handler.request.recv(1) == "i");
    const std::string bytes = pattern(1 << 20);
    while (handler.request.send_unless_input(buffer(bytes)) > 0) continue;
    CHECK(handler.request.recv(100) == "nput");
  });
  const ServerThread background(server);
  StreamClient client(server.server_address());
  client.send(masked("input"));
  CHECK(eventually([&] { return server.stats().completed == 1; }));
  CHECK(server.stats().handler_errors == 0);
}

TEST_CASE("wrapper: on a fiber, a wait holds up no other fiber") {
  using Server = FiberTCPServer<Actor>;
  Masked<Server> server([](StreamRequestHandler& handler) { serve_bytes(handler, [] {}); });
  const ServerThread background(server);
  const StreamClient silent(server.server_address());
  StreamClient client(server.server_address());
  CHECK(eventually([&] { return server.requests_running() == 2; }));
  client.send(masked("a"));
  CHECK(unmasked(client, 1) == "a");
}

TEST_CASE("wrapper: a file is sent through it") {
  const TemporaryFolder folder;
  const std::string content = pattern(200000);
  const detail::Descriptor file(::open((folder / "file").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  REQUIRE(::write(file.get(), content.data(), content.size()) == static_cast<ssize_t>(content.size()));
  BothEnds both;
  mask(both.request);
  std::thread sending([&] {
    CHECK(both.request.sendfile(file.get()) == content.size());
    both.request.shutdown(SHUT_WR);
  });
  std::string received;
  for (std::string part; !(part = both.peer.recv(1 << 16)).empty();) received += part;
  sending.join();
  CHECK((received == masked(content)));
}

}  // namespace
