#pragma once

#include <sys/types.h>

#include <algorithm>
#include <boost/asio/execution_context.hpp>
#include <chrono>
#include <cstddef>
#include <exception>
#include <optional>
#include <set>
#include <sockserv/detail/clock.hpp>
#include <sockserv/detail/forking_server.hpp>
#include <sockserv/detail/processors.hpp>
#include <sockserv/detail/settings.hpp>
#include <sockserv/detail/worker_processes.hpp>
#include <sockserv/error.hpp>
#include <stdexcept>
#include <string>

namespace sockserv {

/// Serves requests in a fixed number of processes, the workers, which are forked before there is a request and share
/// the listening socket.
///
///     PreForkingMixIn<TCPServer<Upper>> server({"127.0.0.1", 9000});    // or PreForkingTCPServer<Upper>
///     server.processes = 4;
///
/// Each worker serves as the server within does: `PreForkingMixIn<TCPServer<H>>` one request at a time,
/// `PreForkingMixIn<ThreadingMixIn<TCPServer<H>>>` many, each in a thread. (Around a `FiberMixIn`, whose `loops` are
/// one then unless told otherwise, it is a process for each processor and fibers in it.) The process that calls
/// `serve_forever()` is the parent: it accepts nothing and watches over the workers. (`handle_request()` serves in the
/// process that calls it.)
///
/// @par In a worker
/// Handlers and hooks see the worker's copy of the server: what they change there, and what they stop by `shutdown()`,
/// is their worker. It has a copy of the program's memory as it was when the worker was forked, and of its threads only
/// the serving one: in a program with others, locks that they held then stay held in the worker. sockserv's own are
/// safe. A worker ends by `_exit`, without unwinding the stack or running exit handlers.
///
/// @par Limits
/// Each worker has an even part of `ServerOptions::max_connections`, which must be enough for one each.
/// `max_connections_per_address` holds in each worker on its own.
///
/// @par When a worker ends
/// Another one takes its place at once if it had served well, whatever ended it. One that ends early (before it is
/// ready, or within a second and without a request) is replaced after a while, 100 ms at the most and twice as long
/// each time, up to 5 s; when too many in a row have ended so, `serve_forever()` tells the others to finish and throws.
/// SIGTERM makes a worker accept no more, finish, and end. When the parent ends, in whatever way, the workers end at
/// once.
///
/// @par Stopping
/// As ever, and by all workers: `shutdown()` has them accept no more, finish what they serve, and end; `drain()` has
/// them take the backlog as well, aborts their requests at the limit, and kills those that are left two seconds
/// later. A worker that is busy with its only request keeps the listening socket until it has ended, so until then
/// clients who come wait in the backlog instead of being refused.
template <detail::ServerClass Server>
class PreForkingMixIn : public detail::ForkingServer<Server> {
 public:
  using detail::ForkingServer<Server>::ForkingServer;
  ~PreForkingMixIn() override {
    static_assert(!detail::serves_in_processes<Server>, "PreForkingMixIn goes around no mixin that forks");
    // Workers that are left have a copy of this object, so they do not mind its end.
    this->begin_destruction(typeid(PreForkingMixIn), Server::requests_running());
  }

  /// How many workers there are. Within 1 … 8192; the default is one for each processor that the program may use.
  std::size_t processes = detail::processors();
  /// A worker that has accepted so many requests accepts no more, finishes, and is replaced: a remedy for handlers that
  /// use up memory. 0: no limit. Until it has finished it keeps its place, so with clients that stay, set
  /// `ServerOptions::idle_timeout` or `request_timeout` as well, unless handlers wait in `wait_for_next_request()`.
  std::size_t max_requests_per_child = 0;
  /// How long a worker may take from its start to the end of `worker_started()`; then it is killed. Must be positive.
  AbstractServer::duration boot_timeout = std::chrono::seconds(60);
  /// How many workers in a row may end early until `serve_forever()` gives up. At least 1.
  std::size_t max_early_deaths = 10;
  /// `server_close()` waits for the workers, and so for what they serve. If false, those that are left are killed when
  /// the server is destroyed.
  bool block_on_close = true;

  /// Called in each worker before it serves: the place to open a database, or to seed random numbers. What it throws is
  /// logged and ends the worker early. Does nothing by default.
  virtual void worker_started() {}

  /// The process ids of the workers.
  std::set<pid_t> active_children() const { return workers_.ids(); }

  /// What the parent and all its workers have counted, including those that have ended. In a worker: what workers have.
  ServerStats stats() const override {
    ServerStats all = workers_.inside() ? ServerStats() : Server::stats();
    workers_.for_each_slot([&](const detail::WorkerSlot& slot) { all += detail::stats_of(slot.counters); });
    all.active = requests_running();
    return all;
  }

  /// In the parent, the requests of all workers, and its own; in a worker, its own.
  std::size_t requests_running() const override {
    return Server::requests_running() + (workers_.inside() ? 0 : workers_.requests_running());
  }

  void server_close() override {
    Server::server_close();
    if (workers_.inside()) return;
    if (block_on_close && !this->called_from_within()) workers_.wait_until_none(AbstractServer::time_point::max());
  }

 protected:
  void check_settings() const override {
    detail::require_within("processes", processes, 1, detail::most_processors);
    detail::require_at_least_one("max_early_deaths", max_early_deaths);
    detail::require_positive("boot_timeout", boot_timeout);
    const std::size_t max_connections = this->options().max_connections;
    if (!workers_.inside() && max_connections > 0 && max_connections < processes) {
      throw std::invalid_argument("ServerOptions::max_connections is " + std::to_string(max_connections) +
                                  ", and each of the " + std::to_string(processes) + " processes needs one");
    }
    Server::check_settings();
  }

  void begin_serving() override {
    if (workers_.inside()) {
      workers_.listen([this](detail::WorkerCommand command) { handle_command(command); });
      worker_started();
      Server::begin_serving();
      workers_.is_ready();
    } else {
      supervising_ = true;
      workers_.make_slots(processes);
      start_due_workers();
    }
  }
  void end_serving() noexcept override {
    if (workers_.inside()) {
      Server::end_serving();
      max_requests_per_child = 0;  // a drain goes on to the end of the backlog
    } else {
      supervising_ = false;
      workers_.notify(this->drain_wanted() ? detail::WorkerCommand::drain : detail::WorkerCommand::stop);
    }
  }

  /// In the parent: once a worker is.
  bool is_ready() const override {
    return workers_.inside() ? Server::is_ready() : workers_.is_one_ready_since(AbstractServer::time_point::min());
  }
  /// What one worker has taken, another cannot serve.
  bool may_take_requests_ahead() const noexcept override { return false; }
  bool others_accept() override { return !workers_.inside() || Server::others_accept(); }
  bool may_accept() override { return Server::may_accept() && !is_worn_out(); }
  detail::Runner::Watch watch() override {
    if (workers_.inside()) return Server::watch();
    return {workers_.descriptor(), workers_.look_interval(boot_timeout, this->awaits_readiness())};
  }
  void collect() override {
    Server::collect();
    if (workers_.inside()) {
      if (is_worn_out()) this->request_stop();
    } else {
      workers_.collect();
      if (supervising_) supervise();
    }
  }

  /// The workers have been told to take the backlog. But they may have stopped before that (somebody may have sent
  /// SIGTERM to all processes at once), or never have been: where there is room for others, those are started for it.
  void serve_backlog() override {
    if (workers_.inside()) return Server::serve_backlog();
    workers_.make_slots(processes);
    const auto begun = detail::now();
    std::size_t attempts = max_early_deaths;
    // Those that are ready have the listener then, and clients who keep coming must not keep us.
    while (this->taking_backlog() && this->is_anyone_waiting() && !workers_.is_one_ready_since(begun)) {
      workers_.supervise(boot_timeout, *this);
      if (workers_.has_free_slot()) {
        if (attempts-- == 0) return;
        while (workers_.has_free_slot() && start_worker()) {
        }
        workers_.notify(detail::WorkerCommand::drain);
      }
      this->poll_once(std::chrono::milliseconds(20));
    }
  }

  bool wait_for_requests(AbstractServer::time_point deadline) override {
    return Server::wait_for_requests(deadline) && (workers_.inside() || workers_.wait_until_none(deadline));
  }
  void stop_waiting_for_requests() noexcept override {
    if (!workers_.inside()) workers_.stop_waiting();
  }
  std::size_t abort_requests(bool last_resort) noexcept override {
    const std::size_t own = Server::abort_requests(last_resort);
    if (workers_.inside()) return own;
    return own + (last_resort ? workers_.kill() : workers_.abort());
  }

 private:
  void supervise() {
    workers_.supervise(boot_timeout, *this);
    if (const auto error = workers_.early_deaths_error(max_early_deaths)) {
      this->stop_with(error);
    } else {
      start_due_workers();
    }
  }

  void start_due_workers() {
    while (workers_.is_one_due() && start_worker()) {
    }
  }

  /// False if there can be none.
  bool start_worker() {
    pid_t worker = -1;
    const auto error = detail::error_of([&] {
      worker = this->fork_with_notice([this] { return workers_.start([this] { return this->fork_worker(); }); });
    });
    if (worker == 0) work();
    if (error) workers_.not_started(error, *this);
    return !error;
  }

  [[noreturn]] void work() noexcept {
    try {
      const auto error = detail::error_of([this] {
        this->count_in(workers_.own_slot().counters);
        this->live_requests().count_in(workers_.own_slot().running);
        take_share_of_connections();
        this->notify_fork(boost::asio::execution_context::fork_child);
        this->serve_as_worker();
      });
      if (error) this->log(LogLevel::error, [&] { return "a worker has failed: " + detail::describe(error); });
      detail::exit_child(error ? 1 : 0);
    } catch (...) {  // a request to end the thread, which in this process is the one that serves
      detail::exit_child(1);
    }
  }

  /// An even part of `max_connections`; the first workers take what is left over.
  void take_share_of_connections() noexcept {
    const std::size_t all = this->options().max_connections;
    if (all > 0) this->set_max_connections(all / processes + (workers_.own_index() < all % processes ? 1 : 0));
  }

  /// What the parent tells a worker, which hears it in a thread of its own.
  void handle_command(detail::WorkerCommand command) {
    switch (command) {
      case detail::WorkerCommand::stop:
        return this->begin_stop();
      case detail::WorkerCommand::drain:
        return this->begin_drain();
      case detail::WorkerCommand::abort:
        return workers_.answer(this->end_drain());
    }
  }

  bool is_worn_out() const noexcept {
    return workers_.inside() && max_requests_per_child > 0 && workers_.accepted() >= max_requests_per_child;
  }

  /// Inherited constructors leave it to the members to change a default of the base.
  struct PreForkingDefaults {
    explicit PreForkingDefaults(Server& server) {
      if constexpr (requires { server.loops; }) server.loops = 1;
    }
  };

  [[no_unique_address]] PreForkingDefaults defaults_{*this};
  detail::WorkerProcesses workers_;
  bool supervising_ = false;  // the serving thread's: workers that end are replaced
};

}  // namespace sockserv
