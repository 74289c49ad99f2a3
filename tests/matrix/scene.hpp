#pragma once

/// One cell of the matrix: a server of some family, run by some mixin, whose handler does what its client says, and
/// clients of that family. The cases talk to any cell in the same words.

#include <doctest/doctest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <sockserv.hpp>
#include <string>
#include <type_traits>
#include <utility>

#include "support/support.hpp"

namespace matrix {

/// What happened, in whichever process it did.
struct Events {
  std::atomic<int> standard_errors = 0;
  std::atomic<int> other_errors = 0;
  std::atomic<int> peers_gone = 0;
  std::atomic<int> idle_too_long = 0;
  std::atomic<int> requests_too_long = 0;
  std::atomic<int> too_slow = 0;
  std::atomic<int> serving = 0;       // handlers of streams at the moment
  std::atomic<int> most_serving = 0;  // and the most that there have been
  std::atomic<std::size_t> workers_started = 0;
};

const support::Shared<Events>& events();

/// Lets datagram handlers that hang go on: there is no connection by which a server could wake them.
void release_hanging_handler();

/// A client that sends commands and hears answers, as lines or as datagrams.
///
/// The commands: "echo TEXT" is answered by the same; "throw" and "throw int" make the handler throw; "hang" is
/// answered at once and then keeps the handler until the next line comes or the request is aborted; "next" is answered,
/// and has a stream's handler wait for the next request; "flood" makes it send without end.
class Client {
 public:
  virtual ~Client() = default;
  virtual void say(std::string_view command) = 0;
  virtual std::string hear() = 0;
  /// Says that there is no more to come.
  virtual void end_of_commands() = 0;
  /// Goes away without a word.
  virtual void vanish() = 0;
  /// Sends part of a command; nothing as datagrams, which come whole or not at all.
  virtual void say_half() = 0;
  /// Makes a hanging handler of this client go on.
  virtual void release() = 0;
  /// Waits for the server to end the conversation; at once for datagrams, which have none.
  virtual void expect_end() = 0;
};

std::unique_ptr<Client> stream_client(const sockserv::Address& server);
std::unique_ptr<Client> datagram_client(const sockserv::Address& server);

struct StreamActor : sockserv::StreamRequestHandler {
  void handle() override;
};
struct DatagramActor : sockserv::DatagramRequestHandler {
  void handle() override;
};

void count_error(const std::exception_ptr& error);

/// Counts errors where the test sees them.
template <class Base>
struct Counting : Base {
  Counting(const sockserv::Address& address, sockserv::ServerOptions options)
      : Base(address, support::quiet(std::move(options))) {}
  ~Counting() override { this->server_close(); }
  void handle_error(const sockserv::Address&, std::exception_ptr error) override { count_error(error); }
};

/// The same for a server that forks workers.
template <class Base>
struct CountingWorkers : Counting<Base> {
  using Counting<Base>::Counting;
  ~CountingWorkers() override { this->server_close(); }
  void worker_started() override { ++events()->workers_started; }
};

/// A server in the background, as the cases see it.
struct Scene {
  std::unique_ptr<support::TemporaryFolder> folder;
  std::unique_ptr<sockserv::AbstractServer> server;
  std::unique_ptr<sockserv::ServerThread> background;
  bool streams = true;
  bool concurrent = true;  // serves several requests at a time
  bool processes = false;  // … in processes
  bool is_ip = true;

  std::unique_ptr<Client> connect() const {
    return streams ? stream_client(server->server_address()) : datagram_client(server->server_address());
  }
};

/// A server that has begun to serve.
template <class Server>
Scene stage(sockserv::ServerOptions options = {}, const sockserv::Address& ip = support::loopback()) {
  Scene scene;
  scene.streams = std::is_same_v<typename Server::request_type, sockserv::Connection>;
  using Handler = typename Server::RequestHandlerClass;
  using UnixServer = std::conditional_t<std::is_same_v<typename Server::request_type, sockserv::Connection>,
                                        sockserv::UnixStreamServer<Handler>, sockserv::UnixDatagramServer<Handler>>;
  scene.is_ip = !std::derived_from<Server, UnixServer>;
  constexpr bool preforked = requires(Server server) { server.processes; };
  scene.processes = preforked || requires(Server server) { server.max_children; };
  constexpr bool pooled = requires(Server server) { server.pool_size; };
  constexpr bool on_fibers = requires(Server server) { server.loops; };
  scene.concurrent = scene.processes || pooled || on_fibers || requires(Server server) { server.max_threads; };
  scene.folder = std::make_unique<support::TemporaryFolder>();
  const sockserv::Address address = scene.is_ip ? ip : sockserv::Address(*scene.folder / "server");
  [[maybe_unused]] const std::size_t max_connections = options.max_connections;
  std::size_t workers = 0;
  using Counted = std::conditional_t<preforked, CountingWorkers<Server>, Counting<Server>>;
  auto server = std::make_unique<Counted>(address, std::move(options));
  if constexpr (pooled) server->pool_size = 16;
  if constexpr (preforked) {
    workers = max_connections > 0 ? max_connections : on_fibers ? 2 : 16;
    server->processes = workers;
    server->boot_timeout = support::patience / 3;
  }
  scene.server = std::move(server);
  const std::size_t started_before = events()->workers_started;
  scene.background = std::make_unique<sockserv::ServerThread>(*scene.server);
  // Forked while this thread allocates, a worker could inherit a lock of AddressSanitizer's that nobody will release.
  REQUIRE(support::eventually([&] { return events()->workers_started >= started_before + workers; }));
  return scene;
}

}  // namespace matrix

/// A family of servers, under every mixin.
#define FAMILY(Family, Actor)                                                                             \
  Family##Server<Actor>, Threading##Family##Server<Actor>, Forking##Family##Server<Actor>,                \
      ThreadPool##Family##Server<Actor>, Fiber##Family##Server<Actor>, PreForking##Family##Server<Actor>, \
      PreForkingFiber##Family##Server<Actor>

// So that a case says which server it is about.
TYPE_TO_STRING(sockserv::TCPServer<matrix::StreamActor>);
TYPE_TO_STRING(sockserv::ThreadingTCPServer<matrix::StreamActor>);
TYPE_TO_STRING(sockserv::ForkingTCPServer<matrix::StreamActor>);
TYPE_TO_STRING(sockserv::ThreadPoolTCPServer<matrix::StreamActor>);
TYPE_TO_STRING(sockserv::FiberTCPServer<matrix::StreamActor>);
TYPE_TO_STRING(sockserv::PreForkingTCPServer<matrix::StreamActor>);
TYPE_TO_STRING(sockserv::PreForkingFiberTCPServer<matrix::StreamActor>);
TYPE_TO_STRING(sockserv::UDPServer<matrix::DatagramActor>);
TYPE_TO_STRING(sockserv::ThreadingUDPServer<matrix::DatagramActor>);
TYPE_TO_STRING(sockserv::ForkingUDPServer<matrix::DatagramActor>);
TYPE_TO_STRING(sockserv::ThreadPoolUDPServer<matrix::DatagramActor>);
TYPE_TO_STRING(sockserv::FiberUDPServer<matrix::DatagramActor>);
TYPE_TO_STRING(sockserv::PreForkingUDPServer<matrix::DatagramActor>);
TYPE_TO_STRING(sockserv::PreForkingFiberUDPServer<matrix::DatagramActor>);
TYPE_TO_STRING(sockserv::UnixStreamServer<matrix::StreamActor>);
TYPE_TO_STRING(sockserv::ThreadingUnixStreamServer<matrix::StreamActor>);
TYPE_TO_STRING(sockserv::ForkingUnixStreamServer<matrix::StreamActor>);
TYPE_TO_STRING(sockserv::ThreadPoolUnixStreamServer<matrix::StreamActor>);
TYPE_TO_STRING(sockserv::FiberUnixStreamServer<matrix::StreamActor>);
TYPE_TO_STRING(sockserv::PreForkingUnixStreamServer<matrix::StreamActor>);
TYPE_TO_STRING(sockserv::PreForkingFiberUnixStreamServer<matrix::StreamActor>);
TYPE_TO_STRING(sockserv::UnixDatagramServer<matrix::DatagramActor>);
TYPE_TO_STRING(sockserv::ThreadingUnixDatagramServer<matrix::DatagramActor>);
TYPE_TO_STRING(sockserv::ForkingUnixDatagramServer<matrix::DatagramActor>);
TYPE_TO_STRING(sockserv::ThreadPoolUnixDatagramServer<matrix::DatagramActor>);
TYPE_TO_STRING(sockserv::FiberUnixDatagramServer<matrix::DatagramActor>);
TYPE_TO_STRING(sockserv::PreForkingUnixDatagramServer<matrix::DatagramActor>);
TYPE_TO_STRING(sockserv::PreForkingFiberUnixDatagramServer<matrix::DatagramActor>);
