#pragma once

#include <algorithm>
#include <cstddef>
#include <sockserv/detail/processors.hpp>
#include <sockserv/detail/settings.hpp>
#include <sockserv/detail/thread_pool.hpp>
#include <sockserv/detail/threaded_requests.hpp>
#include <stdexcept>

namespace sockserv {

/// What a server does when all its threads are busy and its queue is full.
enum class WhenFull {
  wait,    ///< Accepts nothing; the backlog holds what comes.
  reject,  ///< Accepts and closes, after `BaseServer::request_rejected()` has had a chance to tell the client.
};

/// Serves requests in a bounded number of threads, which are made as they are needed and kept.
///
///     ThreadPoolMixIn<TCPServer<Upper>> server({"127.0.0.1", 9000});    // or ThreadPoolTCPServer<Upper>
///     server.pool_size = 16;
///
/// A connection keeps its thread until its handler returns: clients that stay connected and idle fill the pool. Set
/// `ServerOptions::idle_timeout`, give handlers a `timeout`, or use another mixin where clients stay.
///
/// Handlers of different requests run at the same time: what they share, they protect. If no thread at all can be made,
/// the request is closed, `handle_error()` hears of it, and serving goes on.
///
/// A subclass with members that its handlers use calls `server_close()` in its destructor, as for `ThreadingMixIn`.
template <detail::ServerClass Server>
class ThreadPoolMixIn : public detail::ThreadedRequests<Server> {
 public:
  using detail::ThreadedRequests<Server>::ThreadedRequests;
  using typename Server::request_type;
  ~ThreadPoolMixIn() override {
    this->begin_destruction(typeid(ThreadPoolMixIn));
    pool_.stop();
  }

  /// The most threads. At least 1; the default is four more than the program may use processors, and at most 32.
  std::size_t pool_size = std::min<std::size_t>(detail::processors() + 4, 32);
  /// The most requests that have been accepted and wait for a thread. 0: none waits but in the backlog.
  std::size_t queue_limit = 64;
  WhenFull when_full = WhenFull::wait;
  /// `server_close()` waits for the requests that are running or queued.
  bool block_on_close = true;
  /// The size of each thread's stack, in bytes: at least 16 KiB, and no more than the system has memory for. 0: the
  /// system's default.
  std::size_t stack_size = 0;

  void process_request(request_type& request, const Address& client_address) override {
    if (when_full == WhenFull::reject && !pool_.has_room(limits())) {
      return this->reject(request, client_address, Rejection::full);
    }
    this->process_elsewhere(request, client_address, [this](auto& task) { pool_.submit(task, limits()); });
  }

  void server_close() override {
    Server::server_close();
    if (block_on_close && !this->called_from_within()) pool_.stop();
  }

  std::size_t requests_running() const override { return std::max(Server::requests_running(), pool_.running()); }

 protected:
  void check_settings() const override {
    detail::require_at_least_one("pool_size", pool_size);
    detail::check_thread_stack(stack_size);
    Server::check_settings();
  }
  bool may_accept() const override {
    return Server::may_accept() && (when_full == WhenFull::reject || pool_.has_room(limits()));
  }
  bool wait_for_requests(AbstractServer::time_point deadline) override {
    return Server::wait_for_requests(deadline) && pool_.wait_until_none(deadline);
  }
  void become_worker() override {
    pool_.forget();
    Server::become_worker();
  }

 private:
  detail::ThreadPool::Limits limits() const noexcept { return {pool_size, queue_limit, stack_size}; }

  detail::ThreadPool pool_{[this] { this->wake(); }};
};

}  // namespace sockserv
