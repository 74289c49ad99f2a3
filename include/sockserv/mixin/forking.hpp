#pragma once

#include <signal.h>
#include <sys/types.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/execution_context.hpp>
#include <chrono>
#include <cstddef>
#include <set>
#include <sockserv/detail/child_processes.hpp>
#include <sockserv/detail/descriptor.hpp>
#include <sockserv/detail/forking_server.hpp>
#include <sockserv/detail/settings.hpp>
#include <sockserv/detail/shared_memory.hpp>
#include <sockserv/detail/stop_event.hpp>
#include <stdexcept>

namespace sockserv {

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
/// A child whose handler is in `wait_for_next_request()` has a second thread, which waits for the server to stop.
///
/// `timeout` is 300 seconds here: how long `handle_request()` waits before it looks for children that have ended.
template <detail::ServerClass Server>
class ForkingMixIn : public detail::ForkingServer<Server> {
 public:
  using detail::ForkingServer<Server>::ForkingServer;
  using typename Server::request_type;
  ~ForkingMixIn() override {
    collect_children();  // children that are left have a copy of this object, so they do not mind its end
    this->begin_destruction(typeid(ForkingMixIn), Server::requests_running());
  }

  /// The most children at a time; while so many run, nothing is accepted and the backlog holds what comes. At least 1.
  std::size_t max_children = 40;
  /// `server_close()` waits for the children that are running. If false, those that are still running when the server
  /// is destroyed are nobody's: they stay zombies after their end until this program ends.
  bool block_on_close = true;

  /// The process ids of the requests in progress.
  std::set<pid_t> active_children() const { return children_.active(); }

  /// Reaps the children that have ended, or waits for all of them. The serving loop does the former as they end.
  void collect_children(bool blocking = false) {
    if (blocking) {
      children_.wait_until_none(AbstractServer::time_point::max());
    } else {
      children_.collect();
    }
  }

  void process_request(request_type& request, const Address& client_address) override {
    const pid_t child = this->fork_with_notice(
        [&] { return children_.add([this] { return this->fork_process(); }, this->take_admission(request)); });
    if (child == 0) process_request_child(request, client_address);
    this->close_request(request);
  }

  void service_actions() override {
    Server::service_actions();
    collect_children();
  }
  void handle_timeout() override {
    Server::handle_timeout();
    collect_children();
  }
  void server_close() override {
    Server::server_close();
    collect_children(block_on_close && !this->called_from_within());
  }

  /// In the children too.
  bool stop_requested() const noexcept override { return Server::stop_requested() || shared().stopping; }

  std::size_t requests_running() const override {
    return std::max(Server::requests_running(), children_.size());  // while it forks, a request is in both
  }

 protected:
  void check_settings() const override {
    detail::require_at_least_one("max_children", max_children);
    Server::check_settings();
  }
  bool may_accept() const override { return Server::may_accept() && children_.size() < most_children(); }
  void end_idle() noexcept override {
    Server::end_idle();
    shared().stopping = true;
    stopped_.set();
  }
  void become_child() noexcept override {
    Server::become_child();
    must_watch_ = true;
  }
  void expect_stop(int descriptor) override {
    if (!must_watch_ || detail::is_readable(descriptor))
      return;  // a client that asks at once, and once, costs no thread
    must_watch_ = false;
    stopped_.call_when_set([this] { this->live_requests().end_idle(); });
  }
  int service_descriptor() const noexcept override { return children_.descriptor(); }
  std::optional<AbstractServer::duration> service_interval() const override { return children_.look_interval(); }
  bool wait_for_requests(AbstractServer::time_point deadline) override {
    return Server::wait_for_requests(deadline) && children_.wait_until_none(deadline);
  }
  void stop_waiting_for_requests() noexcept override { children_.stop_waiting(); }
  std::size_t abort_requests(bool last_resort) noexcept override {
    const std::size_t children = children_.signal_all(last_resort ? SIGKILL : SIGTERM);
    if (!last_resort) detail::count(this->counters().aborted_drain, children);
    return Server::abort_requests(last_resort) + children;
  }

 private:
  /// What the children share with their parent.
  struct SharedWithChildren {
    detail::Counters counters;
    std::atomic<bool> stopping = false;
  };

  SharedWithChildren& shared() const noexcept { return shared_.values().front(); }

  /// Either limit: a child is a connection that the base does not see.
  std::size_t most_children() const noexcept {
    const std::size_t max_connections = this->options().max_connections;
    return max_connections == 0 ? max_children : std::min(max_children, max_connections);
  }

  [[noreturn]] void process_request_child(request_type& request, const Address& client_address) noexcept {
    try {
      this->notify_fork(boost::asio::execution_context::fork_child);
      detail::exit_child(this->serve_request(request, client_address) ? 0 : 1);
    } catch (...) {  // a request to end the thread, which in this process is the only one
      detail::exit_child(1);
    }
  }

  /// Inherited constructors leave it to the members to change a default of the base.
  struct ForkingDefaults {
    explicit ForkingDefaults(ForkingMixIn& server) {
      server.timeout = std::chrono::seconds(300);
      server.count_in(server.shared().counters);
    }
  };

  detail::SharedMemory<SharedWithChildren> shared_{1};
  detail::StopEvent stopped_;
  bool must_watch_ = false;  // a child that has no thread yet to wait for that
  [[no_unique_address]] ForkingDefaults defaults_{*this};
  detail::ChildProcesses children_;
};

}  // namespace sockserv
