#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <sockserv/connection.hpp>
#include <sockserv/detail/processors.hpp>
#include <sockserv/detail/runners.hpp>
#include <sockserv/detail/server_class.hpp>
#include <type_traits>
#include <typeinfo>

namespace sockserv::inline abi_0 {

/// Serves each request on a fiber: a stack of its own within one of a few threads. When a handler would have to wait,
/// its fiber parks, and the thread runs others; so handlers are written as for threads, and cost little more than the
/// callbacks of an event loop.
///
///     FiberMixIn<TCPServer<Upper>> server({"127.0.0.1", 9000});    // or FiberTCPServer<Upper>
///
/// What waits by way of the request, `rfile`, `wfile`, `this_request` or `await` parks the fiber. What waits or
/// computes in any other way holds up all requests of its thread: hand it to `this_request::offload()`. A handler that
/// does not, for longer than `stall_threshold`, is reported.
///
/// A fiber never changes its thread. Handlers of different requests run at the same time if there is more than one
/// loop, and take turns wherever one waits: what they share, they protect. But a lock of the system's (std::mutex) must
/// not be held across a wait: another fiber of the same thread that wants it would block the thread that alone can
/// release it.
///
/// Loops call `get_request`, `verify_request` and `process_request`. For the backlog of a draining server, and under
/// `handle_request()`, the serving thread calls them. No two threads do so at once. They must not wait.
/// `service_actions` is called by the serving thread.
///
/// A subclass with members that its handlers use calls `server_close()` in its destructor, as for `ThreadingMixIn`.
template <detail::ServerClass Server>
class FiberMixIn : public Server {
 public:
  using typename Server::request_type;

  using Server::Server;
  ~FiberMixIn() override {
    static_assert(!detail::serves_in_processes<Server>,
                  "FiberMixIn goes inside: PreForkingMixIn<FiberMixIn<...>>; it goes around no mixin that forks");
    this->begin_destruction(typeid(FiberMixIn));
  }

  /// How many threads run fibers. Within 1 … 8192; the default is one for each processor that the program may use.
  std::size_t loops = detail::processors();
  /// The size of each fiber's stack, in bytes: at least 16 KiB, and no more than the system can map 32 times. Memory is
  /// taken only for what a handler touches, a page at a time. An overflow ends the program, with a message that names
  /// the handler; but a function with a frame of more than 64 KiB may miss the guard below the stack, unless it is
  /// compiled with -fstack-clash-protection.
  std::size_t stack_size = 262144;
  /// A handler that keeps its thread for longer without waiting is reported in the log. Zero: none is.
  AbstractServer::duration stall_threshold = std::chrono::milliseconds(100);
  /// How long an idle loop spins before it sleeps in `epoll_wait`. Tens of microseconds make a server of small requests
  /// faster if each loop has a core to itself: clients that come back soon are served at once, and need not wake the
  /// loop. The price is processor time, while clients come; whatever else handlers wait for (`sleep_for`, `await`,
  /// `offload`) may be noticed later by a few times as much. At most 1 ms. Zero: the loop sleeps at once.
  AbstractServer::duration busy_poll = AbstractServer::duration::zero();
  /// `server_close()` waits for the requests that are running.
  bool block_on_close = true;

  void process_request(request_type& request, const Address& client_address) override {
    this->run_request(request, client_address, [this](request_type& own, const Address& address) {
      process_request_fiber(own, address);
      return true;
    });
  }

  /// What a fiber does with a request: serves it, hands errors to `handle_error()`, and shuts it down.
  virtual void process_request_fiber(request_type& request, const Address& client_address) {
    this->serve_request(request, client_address);
  }

  void set_concurrency(std::size_t count) override { loops = count; }

  void server_close() override {
    Server::server_close();
    if (block_on_close) this->wait_for_runner();
  }

 protected:
  void check_settings() const override {
    detail::check(settings());
    Server::check_settings();
  }

 private:
  detail::FibersSettings settings() const {
    return {.loops = loops,
            .stack_size = stack_size,
            .stall_threshold = stall_threshold,
            .busy_poll = busy_poll,
            .handler = &typeid(typename Server::RequestHandlerClass),
            .short_read_empties = std::is_same_v<request_type, Connection> && this->server_address().is_ip()};
  }

  AbstractServer::UsesRunner uses_runner_{*this, [this] {
                                            return detail::make_fibers(
                                                [this] { return settings(); }, [this] { this->wake(); },
                                                [this](LogLevel level, const auto& make) { this->log(level, make); });
                                          }};
};

}  // namespace sockserv::inline abi_0
