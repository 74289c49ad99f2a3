#pragma once

#include <sys/types.h>

#include <boost/asio/execution_context.hpp>
#include <functional>
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
  /// Calls `fork` as the function of that name does.
  pid_t fork_with_notice(const std::function<pid_t()>& fork) {
    return detail::fork_with_notice([this](boost::asio::execution_context::fork_event event) { notify_fork(event); },
                                    fork);
  }
};

}  // namespace sockserv::detail
