#pragma once

#include <cstddef>
#include <memory>
#include <sockserv/detail/runners.hpp>
#include <sockserv/detail/settings.hpp>
#include <sockserv/detail/threaded_requests.hpp>

namespace sockserv::inline abi_0 {

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
    static_assert(!detail::serves_in_processes<Server>, "ThreadingMixIn goes around no mixin that forks");
    this->begin_destruction(typeid(ThreadingMixIn));
    // The runner then waits for threads that server_close() did not wait for, since they use this object.
    if (daemon_threads) this->kill_requests();
  }

  /// Threads do not keep the server: `server_close()` does not wait for them, and destruction aborts their sockets.
  bool daemon_threads = false;
  /// `server_close()` waits for the threads that are running (not for daemons).
  bool block_on_close = true;
  /// The most threads at a time; at the limit nothing is accepted, and the backlog holds what comes. 0: no limit.
  std::size_t max_threads = 0;
  /// The size of each thread's stack, in bytes: at least 16 KiB, and no more than the system has memory for. 0: the
  /// system's default.
  std::size_t stack_size = 0;

  void process_request(request_type& request, const Address& client_address) override {
    this->process_in_thread(request, client_address);
  }

  void set_concurrency(std::size_t count) override { max_threads = count; }

  void server_close() override {
    Server::server_close();
    if (block_on_close && !daemon_threads) this->wait_for_runner();
  }

 protected:
  void check_settings() const override {
    detail::check_thread_stack(stack_size);
    Server::check_settings();
  }

 private:
  AbstractServer::UsesRunner uses_runner_{*this, [this] {
                                            return detail::make_threads(
                                                [this] { return detail::ThreadsSettings{max_threads, stack_size}; },
                                                [this] { this->wake(); });
                                          }};
};

}  // namespace sockserv::inline abi_0
