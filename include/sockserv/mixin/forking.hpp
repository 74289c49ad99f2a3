#pragma once

#include <sys/types.h>

#include <algorithm>
#include <boost/asio/execution_context.hpp>
#include <chrono>
#include <cstddef>
#include <memory>
#include <set>
#include <sockserv/detail/forking_server.hpp>
#include <sockserv/detail/runners.hpp>
#include <sockserv/detail/settings.hpp>

namespace sockserv::inline abi_0 {

/// Serves each request in a new process.
///
///     ForkingMixIn<TCPServer<Upper>> server({"127.0.0.1", 9000});    // or ForkingTCPServer<Upper>
///
/// The child has a copy of the program's memory: what its handler changes there, no other request sees, except that
/// `stats()` counts what happens in all of them. It ends without unwinding the stack or running exit handlers
/// (`_exit`), with status 0 if the handler succeeded and 1 if not. If no process can be made, the request is closed,
/// `handle_error()` hears of it, and serving goes on.
///
/// Only the server's own children are waited for; other children of the program are never touched.
///
/// In a program with several threads only the forking one lives on in the child, and locks that others held stay held
/// there. sockserv's own are safe; for those of other libraries, serve from a program without other threads.
///
/// Where the program handles SIGTERM and SIGINT, as it does in `run()`, a child ignores them unless its parent sends
/// them: terminals and service managers send them to all processes of a program at once, and the parent then drains. So
/// it takes SIGKILL to end a single child. A SIGTERM that is ignored still interrupts sleep(3) and poll(2) in a
/// handler.
///
/// A child whose handler is in `wait_for_next_request()` has a second thread, which waits for the server to stop.
///
/// `timeout` is 300 seconds here: how long `handle_request()` waits before it looks for children that have ended.
template <detail::ServerClass Server>
class ForkingMixIn : public detail::ForkingServer<Server> {
 public:
  using detail::ForkingServer<Server>::ForkingServer;
  using typename Server::request_type;
  ~ForkingMixIn() override {
    static_assert(!detail::serves_in_processes<Server>, "ForkingMixIn goes around no mixin that forks");
    collect_children();  // children that are left have a copy of this object, so they do not mind its end
    this->begin_destruction(typeid(ForkingMixIn));
  }

  /// The most children at a time; at the limit nothing is accepted, and the backlog holds what comes. At least 1.
  std::size_t max_children = 40;
  /// `server_close()` waits for the children that are running. If false, those that are still running when the server
  /// is destroyed are nobody's: they stay zombies after their end until this program ends.
  bool block_on_close = true;

  /// The process ids of the requests in progress.
  std::set<pid_t> active_children() const { return this->process_ids(); }

  /// Reaps the children that have ended, or waits for all of them. The serving loop does the former as they end.
  void collect_children(bool blocking = false) {
    if (blocking) {
      this->wait_for_processes();
    } else {
      this->runner().watch();  // it finds every exited child only once all are watched
      this->runner().collect();
    }
  }

  void process_request(request_type& request, const Address& client_address) override {
    this->run_request(request, client_address,
                      [this](request_type& own, const Address& address) { return this->serve_request(own, address); });
    this->close_request(request);
  }

  void set_concurrency(std::size_t count) override { max_children = count; }

  void server_close() override {
    Server::server_close();
    if (block_on_close) this->wait_for_processes();
  }

 protected:
  void check_settings() const override {
    detail::require_at_least_one("max_children", max_children);
    Server::check_settings();
  }

 private:
  /// A child is a connection that the server does not see, so either limit is one of children.
  std::size_t most_children() const noexcept {
    const std::size_t max_connections = this->options().max_connections;
    return max_connections == 0 ? max_children : std::min(max_children, max_connections);
  }

  /// Inherited constructors leave it to the members to change a default of the base.
  struct ForkingDefaults {
    explicit ForkingDefaults(AbstractServer& server) { server.timeout = std::chrono::seconds(300); }
  };

  [[no_unique_address]] ForkingDefaults defaults_{*this};
  AbstractServer::UsesRunner uses_runner_{
      *this, [this] {
        return detail::make_forks(
            {.max_children = [this] { return most_children(); },
             .fork = [this](detail::ClosedTogether& unneeded) { return this->fork_process(unneeded); },
             .notify = [this](boost::asio::execution_context::fork_event event) { this->notify_fork(event); },
             .end_idle = [this](detail::EndIdle when) { this->live_requests().end_idle(when); },
             .count_in = [this](detail::Counters& counters) { this->count_in(counters); }});
      }};
};

}  // namespace sockserv::inline abi_0
