#pragma once

#include <sys/types.h>

#include <boost/asio/execution_context.hpp>
#include <sockserv/detail/child_processes.hpp>
#include <sockserv/detail/server_class.hpp>

namespace sockserv::detail {

/// What the mixins that fork have in common: what is done around each fork.
template <ServerClass Server>
class ForkingServer : public Server {
 public:
  using Server::Server;

  /// Called before each fork, and after it in the parent and in the child. A program that has Asio contexts of its own
  /// overrides it and calls `notify_fork(event)` of each, as Asio demands.
  virtual void notify_fork(boost::asio::execution_context::fork_event) {}

  bool prefers_single_thread() const noexcept override { return true; }  // locks of other threads stay held in a child

 protected:
  /// Calls `fork`, which returns as fork() does or throws. In the child, it is left to the caller to call
  /// `notify_fork(fork_child)`: what that throws there must not look like a fork that failed.
  template <class Fork>
  pid_t fork_with_notice(Fork&& fork) {
    // The child starts with a copy of what the standard streams hold, which must not be written twice.
    flush_standard_streams();
    notify_fork(boost::asio::execution_context::fork_prepare);
    pid_t child = -1;
    try {
      child = fork();
    } catch (...) {
      notify_fork(boost::asio::execution_context::fork_parent);
      throw;
    }
    if (child != 0) notify_fork(boost::asio::execution_context::fork_parent);
    return child;
  }
};

}  // namespace sockserv::detail
