#pragma once

#include <sys/types.h>

#include <boost/asio/execution_context.hpp>
#include <chrono>
#include <cstddef>
#include <optional>
#include <set>
#include <sockserv/detail/forking_server.hpp>
#include <sockserv/detail/processors.hpp>
#include <sockserv/detail/runners.hpp>

namespace sockserv::inline abi_0 {

/// Serves requests in a fixed number of processes, the workers, which are forked before there is a request and share
/// the listening socket.
///
///     PreForkingMixIn<TCPServer<Upper>> server({"127.0.0.1", 9000});    // or PreForkingTCPServer<Upper>
///     server.processes = 4;
///
/// Each worker serves as the server within does: `PreForkingMixIn<TCPServer<H>>` one request at a time,
/// `PreForkingMixIn<ThreadingMixIn<TCPServer<H>>>` many, each in a thread. Around a `FiberMixIn` there is one
/// process for each processor, with one loop in each unless you set `loops`. The process that calls `serve_forever()`
/// is the parent: it accepts nothing and supervises the workers. (`handle_request()` serves in the
/// process that calls it.)
///
/// @par In a worker
/// Handlers and hooks see the worker's copy of the server: what they change there, and what they stop by `shutdown()`,
/// is their worker. It has a copy of the program's memory as it was when the worker was forked, and of its threads only
/// the serving one: in a program with others, locks that they held then stay held in the worker. sockserv's own are
/// safe. A worker exits by `_exit`, without unwinding the stack or running exit handlers.
///
/// @par Limits
/// Each worker has an even part of `ServerOptions::max_connections`, which must be enough for one each.
/// `max_connections_per_address` holds in each worker on its own.
///
/// @par When a worker exits
/// The parent starts another one at once if the worker had served well, whatever ended it. After a worker that ended
/// early (before it was ready, or within a second and without a request) it waits for a while, 100 ms at the most and
/// twice as long each time, up to 5 s. When too many workers in a row ended early, `serve_forever()` tells the others
/// to finish and throws. If it is the system that lacks processes, it goes on with the workers that there are, and
/// tries again. SIGTERM makes a worker accept no more, finish, and exit. When the parent exits, for whatever reason,
/// the workers exit at once.
///
/// @par Stopping
/// `shutdown()` has all workers accept no more, finish what they serve, and exit. `drain()` has them take the backlog
/// as well, aborts their requests at the limit, and kills the workers that are left two seconds later. A worker that is
/// busy with its only request keeps the listening socket until it exits, so until then clients who come wait in the
/// backlog instead of being refused.
template <detail::ServerClass Server>
class PreForkingMixIn : public detail::ForkingServer<Server> {
 public:
  using detail::ForkingServer<Server>::ForkingServer;
  ~PreForkingMixIn() override {
    static_assert(!detail::serves_in_processes<Server>, "PreForkingMixIn goes around no mixin that forks");
    this->begin_destruction(typeid(PreForkingMixIn));
    this->kill_requests();  // workers that are left, and what the parent itself still serves
  }

  /// How many workers there are. Within 1 … 8192; the default is one for each processor that the program may use.
  std::size_t processes = detail::processors();
  /// After accepting this many requests a worker stops accepting, finishes what it is serving, and is replaced. Use it
  /// to bound the damage of handlers that leak memory. 0: no limit. Until the worker has finished, none takes its
  /// place: with clients that stay, set `ServerOptions::idle_timeout` or `request_timeout` as well, unless handlers
  /// wait in `wait_for_next_request()`.
  std::size_t max_requests_per_child = 0;
  /// How long a worker may take from its start to the end of `worker_started()`; then it is killed. Must be positive.
  AbstractServer::duration boot_timeout = std::chrono::seconds(60);
  /// How long a worker that serves may give no sign of life; then it is killed (by SIGABRT, and a second later by
  /// SIGKILL), and another one takes its place. It may hang, or have been stopped (SIGSTOP). It gives signs of life as
  /// long as its serving loop goes round, and under fibers as long as no handler keeps a loop. So without a mixin
  /// within, a handler must not take that long; in threads and pools it may. What the worker was serving is lost, so
  /// leave room for a debugger, and for a machine that swaps: half of this time is never taken for death. At least 100
  /// ms; no value: workers are not watched.
  std::optional<AbstractServer::duration> worker_timeout = {};
  /// `serve_forever()` gives up when this many workers in a row ended early. Where the system has no room for another
  /// process, that counts too, unless a worker is left that serves. At least 1.
  std::size_t max_early_deaths = 10;
  /// `server_close()` waits for the workers, and so for what they serve. If false, those that are left are killed when
  /// the server is destroyed.
  bool block_on_close = true;

  /// Called in each worker before it serves: the place to open a database, or to seed random numbers. What it throws is
  /// logged and ends the worker early. Does nothing by default.
  virtual void worker_started() {}

  /// Returns the process ids of the workers.
  std::set<pid_t> active_children() const { return this->process_ids(); }

  void set_concurrency(std::size_t count) override { processes = count; }

  void server_close() override {
    Server::server_close();
    if (block_on_close) this->wait_for_processes();
  }

 protected:
  void check_settings() const override {
    detail::check(settings());
    Server::check_settings();
  }

 private:
  detail::WorkersSettings settings() const {
    return {.processes = processes,
            .max_requests = max_requests_per_child,
            .max_connections = this->options().max_connections,
            .boot_timeout = boot_timeout,
            .worker_timeout = worker_timeout,
            .max_early_deaths = max_early_deaths};
  }

  detail::WorkersHooks hooks() {
    return {.settings = [this] { return settings(); },
            .fork = [this] { return this->fork_worker(make_inner_); },
            .notify = [this](boost::asio::execution_context::fork_event event) { this->notify_fork(event); },
            .serve = [this](const detail::WorkerRole& role) { this->serve_as_worker(role); },
            .started = [this] { worker_started(); },
            .log = [this](LogLevel level, const auto& make) { this->log(level, make); }};
  }

  /// Inherited constructors leave it to the members to change a default of the base.
  struct PreForkingDefaults {
    explicit PreForkingDefaults(Server& server) {
      if constexpr (requires { server.loops; }) server.loops = 1;
    }
  };

  [[no_unique_address]] PreForkingDefaults defaults_{*this};
  const AbstractServer::MakeRunner make_inner_ = this->make_runner();  // the mixin's within, if there is one
  AbstractServer::UsesRunner uses_runner_{
      *this, [this] { return detail::make_workers(hooks(), make_inner_ ? make_inner_() : nullptr); }};
};

}  // namespace sockserv::inline abi_0
