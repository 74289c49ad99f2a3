#pragma once

#include <boost/asio/execution_context.hpp>
#include <sockserv/detail/server_class.hpp>

namespace sockserv::inline abi_0::detail {

/// What the mixins that fork have in common: the hook that is called around each fork.
template <ServerClass Server>
class ForkingServer : public Server {
 public:
  using Server::Server;

  /// Called before each fork, and after it in the parent and in the child. A program that has Asio contexts of its own
  /// overrides it and calls `notify_fork(event)` of each, as Asio demands.
  virtual void notify_fork(boost::asio::execution_context::fork_event) {}
};

}  // namespace sockserv::inline abi_0::detail
