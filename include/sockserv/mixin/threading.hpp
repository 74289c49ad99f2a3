#pragma once

#include <algorithm>
#include <cstddef>
#include <sockserv/detail/settings.hpp>
#include <sockserv/detail/thread_group.hpp>
#include <sockserv/detail/threaded_requests.hpp>

namespace sockserv {

/// Serves each request in a new thread (a `boost::thread`).
///
///     ThreadingMixIn<TCPServer<Upper>> server({"127.0.0.1", 9000});    // or ThreadingTCPServer<Upper>
///
/// Handlers of different requests run at the same time: what they share, they protect. If no thread can be made, the
/// request is closed, `handle_error()` hears of it, and serving goes on.
///
/// A subclass with members that its handlers use calls `server_close()` in its destructor; otherwise handlers could
/// outlive those members, and the server then ends the program with a message rather than let them.
template <detail::ServerClass Server>
class ThreadingMixIn : public detail::ThreadedRequests<Server> {
 public:
  using detail::ThreadedRequests<Server>::ThreadedRequests;
  using typename Server::request_type;
  ~ThreadingMixIn() override {
    this->begin_destruction(typeid(ThreadingMixIn));
    // Threads that server_close() did not wait for use this object, so it cannot go before they have.
    if (daemon_threads) this->kill_requests();
    threads_.wait_until_none();
  }

  /// Threads do not keep the server: `server_close()` does not wait for them, and destruction aborts their sockets.
  bool daemon_threads = false;
  /// `server_close()` waits for the threads that are running (not for daemons).
  bool block_on_close = true;
  /// The most threads at a time; while so many run, nothing is accepted and the backlog holds what comes. 0: no limit.
  std::size_t max_threads = 0;
  /// The size of each thread's stack, in bytes: at least 16 KiB, and no more than the system has memory for. 0: the
  /// system's default.
  std::size_t stack_size = 0;

  void process_request(request_type& request, const Address& client_address) override {
    this->process_elsewhere(request, client_address, [this](auto& task) { threads_.start(task, stack_size); });
  }

  void server_close() override {
    Server::server_close();
    if (block_on_close && !daemon_threads && !this->called_from_within()) threads_.wait_until_none();
  }

  std::size_t requests_running() const override { return std::max(Server::requests_running(), threads_.running()); }

 protected:
  void check_settings() const override {
    detail::check_thread_stack(stack_size);
    Server::check_settings();
  }
  bool may_accept() const override {
    return Server::may_accept() && (max_threads == 0 || threads_.has_room(max_threads));
  }
  bool wait_for_requests(AbstractServer::time_point deadline) override {
    return Server::wait_for_requests(deadline) && threads_.wait_until_none(deadline);
  }
  void become_worker() override {
    threads_.forget();
    Server::become_worker();
  }

 private:
  detail::ThreadGroup threads_{[this] { this->wake(); }};
};

}  // namespace sockserv
