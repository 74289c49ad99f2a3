#pragma once

/// Servers whose handler does what the test says, so that one test can run under every mixin.

#include <doctest/doctest.h>

#include <functional>
#include <memory>
#include <sockserv.hpp>
#include <string>
#include <type_traits>
#include <utility>

#include "support/support.hpp"

namespace acting {

using namespace sockserv;

using Action = std::function<void(StreamRequestHandler&)>;

struct Actor final : StreamRequestHandler {
  explicit Actor(Action what) : action(std::move(what)) {}
  void handle() override { action(*this); }
  Action action;
};

/// A server of that kind on a free port. One loop, if it has loops: all its fibers share one thread.
template <class Server>
struct Acting : Server {
  explicit Acting(Action action, ServerOptions options = {}) : Server({"127.0.0.1", 0}, std::move(options)) {
    this->handler_factory = [action = std::move(action)] { return std::make_unique<Actor>(action); };
    if constexpr (requires { this->loops; }) this->loops = 1;
  }
  ~Acting() override { this->server_close(); }
};

using OneLoop = Acting<FiberTCPServer<Actor>>;

/// What a client is told by a handler that does so; under that mixin.
template <class Server>
std::string told_by(Action action) {
  Acting<Server> server(std::move(action));
  const ServerThread background(server);
  support::StreamClient client(server.server_address());
  std::string all = client.read_all();
  CHECK(server.stats().handler_errors == 0);
  return all;
}

/// True where a handler runs on a fiber.
template <class Server>
constexpr bool is_fiber_server = std::is_same_v<Server, FiberTCPServer<Actor>>;

/// Every mixin, for TEST_CASE_TEMPLATE.
#define SERVERS_OF_ACTORS                                                                           \
  TCPServer<Actor>, ThreadingTCPServer<Actor>, ForkingTCPServer<Actor>, ThreadPoolTCPServer<Actor>, \
      FiberTCPServer<Actor>, PreForkingTCPServer<Actor>, PreForkingFiberTCPServer<Actor>

}  // namespace acting

TYPE_TO_STRING(sockserv::TCPServer<acting::Actor>);
TYPE_TO_STRING(sockserv::ThreadingTCPServer<acting::Actor>);
TYPE_TO_STRING(sockserv::ForkingTCPServer<acting::Actor>);
TYPE_TO_STRING(sockserv::PreForkingTCPServer<acting::Actor>);
TYPE_TO_STRING(sockserv::ThreadPoolTCPServer<acting::Actor>);
TYPE_TO_STRING(sockserv::FiberTCPServer<acting::Actor>);
TYPE_TO_STRING(sockserv::PreForkingFiberTCPServer<acting::Actor>);
