#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <sockserv/detail/processors.hpp>
#include <sockserv/detail/runners.hpp>
#include <sockserv/detail/settings.hpp>
#include <sockserv/detail/threaded_requests.hpp>
#include <stdexcept>

namespace sockserv::inline abi_0 {

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
    static_assert(!detail::serves_in_processes<Server>, "ThreadPoolMixIn goes around no mixin that forks");
    this->begin_destruction(typeid(ThreadPoolMixIn));
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
    if (!this->process_in_thread(request, client_address)) this->reject(request, client_address, Rejection::full);
  }

  void set_concurrency(std::size_t count) override { pool_size = count; }

  void server_close() override {
    Server::server_close();
    if (block_on_close) this->wait_for_runner();
  }

 protected:
  void check_settings() const override {
    detail::require_at_least_one("pool_size", pool_size);
    detail::check_thread_stack(stack_size);
    Server::check_settings();
  }

 private:
  AbstractServer::UsesRunner uses_runner_{
      *this, [this] {
        return detail::make_pool(
            [this] { return detail::PoolSettings{pool_size, queue_limit, stack_size, when_full == WhenFull::reject}; },
            [this] { this->wake(); });
      }};
};

}  // namespace sockserv::inline abi_0
