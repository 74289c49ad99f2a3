#pragma once

#include <algorithm>
#include <boost/core/demangle.hpp>
#include <boost/thread/exceptions.hpp>
#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <sockserv/connection.hpp>
#include <sockserv/detail/fiber_loops.hpp>
#include <sockserv/detail/processors.hpp>
#include <sockserv/detail/request_scope.hpp>
#include <sockserv/detail/server_class.hpp>
#include <sockserv/detail/settings.hpp>
#include <sockserv/error.hpp>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <typeinfo>

namespace sockserv {

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
/// The loops accept requests themselves, one at a time: so `get_request`, `verify_request` and `process_request` are
/// called by their threads, never by two at once, and must not wait. `service_actions` is called by the serving thread.
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
    loops_.stop();
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
  /// For how long a loop that has nothing left to do keeps looking for more before it sleeps. Tens of microseconds make
  /// a server of small requests faster where each loop has a core to itself: clients that come back soon are served at
  /// once, and need not wake it. The price is the processor's time, while clients come; whatever else handlers wait for
  /// (`sleep_for`, `await`, `offload`) may be noticed later by some times as much. At most 1 ms. Zero: it sleeps at
  /// once.
  AbstractServer::duration busy_poll = AbstractServer::duration::zero();
  /// `server_close()` waits for the requests that are running.
  bool block_on_close = true;

  void process_request(request_type& request, const Address& client_address) override {
    start_loops();  // serve_forever() has; handle_request() has not
    std::unique_ptr<detail::FiberTask> task = std::make_unique<FiberRequestTask>(*this, request, client_address);
    try {
      loops_.submit(task);
    } catch (...) {
      request = std::move(static_cast<FiberRequestTask&>(*task).request());
      throw;
    }
  }

  /// What a fiber does with a request: serves it, hands errors to `handle_error()`, and shuts it down.
  virtual void process_request_fiber(request_type& request, const Address& client_address) {
    this->serve_request(request, client_address);
  }

  void service_actions() override {
    Server::service_actions();
    loops_.look_for_stalls();
  }

  void server_close() override {
    Server::server_close();
    if (block_on_close && !this->called_from_within()) loops_.wait_until_none();
  }

  std::size_t requests_running() const override { return std::max(Server::requests_running(), loops_.running()); }

 protected:
  void check_settings() const override {
    detail::require_within("loops", loops, 1, detail::most_processors);
    detail::check_fiber_stack(stack_size);
    detail::require_not_negative("stall_threshold", stall_threshold);
    if (busy_poll < AbstractServer::duration::zero() || busy_poll > longest_busy_poll) {
      throw std::invalid_argument("busy_poll is negative, or more than a millisecond");
    }
    Server::check_settings();
  }
  void begin_serving() override {
    Server::begin_serving();
    start_loops();
    loops_.watch(this->fileno());
  }
  void end_serving() noexcept override {
    loops_.stop_accepting();
    Server::end_serving();
  }
  void become_worker() override {
    loops_.forget();
    Server::become_worker();
  }
  bool accept_elsewhere() override {
    loops_.accept();
    return true;
  }
  std::optional<AbstractServer::duration> service_interval() const override {
    const auto own = loops_.look_interval();
    const auto other = Server::service_interval();
    return own && other ? std::min(own, other) : own ? own : other;
  }
  bool wait_for_requests(AbstractServer::time_point deadline) override {
    return Server::wait_for_requests(deadline) && loops_.wait_until_none(deadline);
  }
  std::size_t abort_requests(bool last_resort) noexcept override {
    const std::size_t aborted = Server::abort_requests(last_resort);
    loops_.abort();
    return aborted;
  }

 private:
  static constexpr AbstractServer::duration longest_busy_poll = std::chrono::milliseconds(1);

  class FiberRequestTask final : public detail::FiberTask {
   public:
    FiberRequestTask(FiberMixIn& server, request_type& request, const Address& client_address)
        : server_(server), request_(std::move(request)), client_address_(client_address) {}

    void use_transport(detail::Transport& transport) noexcept override { server_.use_transport(request_, transport); }
    void run() override {
      const auto error = detail::error_of([this] { server_.process_request_fiber(request_, client_address_); });
      if (error) server_.report_error(client_address_, error);
    }
    void failed(const std::exception_ptr& error) noexcept override {
      server_.report_error(client_address_, error);
      server_.end_request(request_);
    }
    const Address& client_address() const noexcept override { return client_address_; }

    /// The request, for the case that no loop takes it.
    request_type& request() noexcept { return request_; }

   private:
    FiberMixIn& server_;
    request_type request_;
    Address client_address_;
  };

  static std::string handler_name() {
    return boost::core::demangle(typeid(typename Server::RequestHandlerClass).name());
  }

  detail::FiberLoops::Settings settings() const {
    return {.loops = loops,
            .stack_size = stack_size,
            .stall_threshold = stall_threshold,
            .busy_poll = busy_poll,
            .handler = handler_name(),
            .short_read_empties = std::is_same_v<request_type, Connection> && this->server_address().is_ip()};
  }

  void start_loops() {
    if (!loops_.started()) loops_.start(settings());
  }

  bool accept_one() {
    const detail::RequestScope scope(*this);
    try {
      return this->handle_request_noblock();
    } catch (const boost::thread_interrupted&) {
      return true;  // a hook has thrown it, meaning its request; the thread is the loop's
    }
  }

  void report_stall(const Address& client, AbstractServer::duration length) const {
    const auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(length).count();
    this->log(LogLevel::warning, [&] {
      return handler_name() + ", serving " + client.to_string() + ", has kept its thread for " +
             std::to_string(milliseconds) +
             " ms without waiting, and holds up all other requests there; hand such work to "
             "sockserv::this_request::offload()";
    });
  }

  detail::FiberLoops loops_{{
      .accept = [this] { return accept_one(); },
      .may_accept = [this] { return this->may_accept_now(); },
      .wake = [this] { this->wake(); },
      .stalled = [this](const Address& client, AbstractServer::duration length) { report_stall(client, length); },
  }};
};

}  // namespace sockserv
