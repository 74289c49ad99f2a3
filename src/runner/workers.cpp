#include <algorithm>
#include <atomic>
#include <sockserv/detail/clock.hpp>
#include <sockserv/detail/runners.hpp>
#include <sockserv/detail/settings.hpp>
#include <sockserv/error.hpp>
#include <stdexcept>
#include <string>
#include <utility>

#include "../base/exit_child.hpp"
#include "../server/inline_runner.hpp"
#include "supervisor.hpp"

namespace sockserv::inline abi_0::detail {
namespace {

constexpr std::chrono::milliseconds shortest_worker_timeout(100);

/// The runner in the parent of worker processes. It supervises them, and accepts nothing. The tasks that it is given
/// (by `handle_request()`) it passes to the inner runner.
class Workers final : public Runner, public Processes {
 public:
  Workers(WorkersHooks hooks, std::unique_ptr<Runner> inner)
      : hooks_(std::move(hooks)),
        inner_(inner ? std::move(inner) : std::make_unique<Inline>()),
        supervisor_(hooks_.log) {}

  void start(Acceptor&) override {
    replacing_ = true;
    supervisor_.make_slots(hooks_.settings().processes);
    start_due_workers();
  }
  bool accept() override { return true; }
  void stop_accepting(bool to_drain) noexcept override {
    replacing_ = false;
    supervisor_.notify(to_drain ? WorkerCommand::drain : WorkerCommand::finish);
  }

  void run(std::unique_ptr<Task>& task) override { inner_->run(task); }
  bool has_room() const override { return inner_->has_room(); }
  CostOfWaiting cost_of_waiting() const noexcept override { return inner_->cost_of_waiting(); }
  std::size_t running() const override { return inner_->running(); }
  bool wait_until_idle(time_point deadline) override { return inner_->wait_until_idle(deadline); }
  std::size_t abort(bool last_resort) noexcept override {
    return inner_->abort(last_resort) + (last_resort ? supervisor_.kill() : supervisor_.abort());
  }

  Watch watch() override { return {supervisor_.descriptor(), supervisor_.look_interval(hooks_.settings())}; }
  void collect() override {
    inner_->collect();
    supervisor_.collect();
    if (!replacing_) return;
    const WorkersSettings settings = hooks_.settings();
    supervisor_.supervise(settings);
    const auto error = supervisor_.early_deaths_error(settings.max_early_deaths);
    if (!replacing_) return;
    if (error) std::rethrow_exception(error);
    start_due_workers();
  }

  Processes* processes() noexcept override { return this; }
  std::set<pid_t> ids() const override { return supervisor_.ids(); }
  std::size_t requests(std::size_t here) const override { return here + supervisor_.requests(); }
  bool wait_until_none(time_point deadline) override { return supervisor_.wait_until_none(deadline); }
  void stop_waiting() noexcept override { supervisor_.stop_waiting(); }
  void stop(EndIdle when) noexcept override {
    if (when != EndIdle::at_once) return;
    replacing_ = false;  // before: the serving thread may see them exit before it hears that it has to stop
    supervisor_.notify(WorkerCommand::stop);
  }
  bool is_ready() const override { return supervisor_.is_one_ready_since(time_point::min()); }
  void add_to(ServerStats& stats) const override { supervisor_.add_to(stats); }

  /// The workers were told to take the backlog. But they may have stopped before that (somebody may have sent SIGTERM
  /// to all processes at once), or none was ever started: then others are started for it, where there is room.
  bool take_backlog(const std::function<bool()>& is_wanted, const std::function<void()>& wait) override {
    const WorkersSettings settings = hooks_.settings();
    supervisor_.make_slots(settings.processes);
    const auto begun = now();
    // Once a new worker is ready, it has the listener, and clients who keep coming must not keep the parent.
    for (std::size_t attempts = settings.max_early_deaths; is_wanted() && !supervisor_.is_one_ready_since(begun);) {
      supervisor_.supervise(settings);
      if (supervisor_.has_free_slot()) {
        if (attempts-- == 0) break;
        while (supervisor_.has_free_slot() && start_worker()) continue;
        supervisor_.notify(WorkerCommand::drain);
      }
      wait();
    }
    return true;
  }

 private:
  void start_due_workers() {
    while (supervisor_.is_one_due() && start_worker()) continue;
  }

  /// Returns false if there can be none.
  bool start_worker() {
    std::optional<ParentLink> link;
    const auto error =
        error_of([&] { fork_with_notice(hooks_.notify, [&] { return supervisor_.start(hooks_.fork, link); }); });
    if (link) work(*link);
    if (error) supervisor_.not_started(error);
    return !error;
  }

  [[noreturn]] void work(ParentLink& parent) noexcept {
    const WorkerRole role = role_of(parent);  // the server refers to it until the process exits
    try {
      const auto error = error_of([&] {
        hooks_.notify(boost::asio::execution_context::fork_child);
        hooks_.serve(role);
      });
      if (error) hooks_.log(LogLevel::error, [&] { return "a worker has failed: " + describe(error); });
      exit_child(error ? 1 : 0);
    } catch (...) {  // a request to end the thread, which in this process is the one that serves
      exit_child(1);
    }
  }

  WorkerRole role_of(ParentLink& parent) {
    const WorkersSettings settings = hooks_.settings();
    // An even part of the connections; the first workers take what is left over.
    const std::size_t left_over = settings.max_connections % settings.processes;
    return {.counters = parent.own_slot().counters,
            .running = parent.own_slot().running,
            .max_connections = settings.max_connections / settings.processes + (parent.own_index() < left_over ? 1 : 0),
            .max_requests = settings.max_requests,
            .beats = parent.own_slot().beats,
            .beat_interval =
                settings.worker_timeout ? std::optional(look_interval_of(*settings.worker_timeout)) : std::nullopt,
            .listen = [&parent](auto handle) { parent.listen(std::move(handle)); },
            .finish = [&parent] { parent.finish(); },
            .started = hooks_.started,
            .ready = [&parent] { parent.own_slot().ready = true; },
            .add_siblings = [&parent](ServerStats& stats) { parent.add_siblings(stats); }};
  }

  const WorkersHooks hooks_;
  const std::unique_ptr<Runner> inner_;
  Supervisor supervisor_;
  std::atomic<bool> replacing_ = false;  // workers that exit are replaced
};

}  // namespace

std::unique_ptr<Runner> make_workers(WorkersHooks hooks, std::unique_ptr<Runner> inner) {
  return std::make_unique<Workers>(std::move(hooks), std::move(inner));
}

void check(const WorkersSettings& settings) {
  require_within("processes", settings.processes, 1, most_processors);
  require_at_least_one("max_early_deaths", settings.max_early_deaths);
  require_positive("boot_timeout", settings.boot_timeout);
  if (settings.worker_timeout && *settings.worker_timeout < shortest_worker_timeout) {
    throw std::invalid_argument(
        "worker_timeout is less than 100 ms, in which a healthy worker may give no sign of life");
  }
  if (settings.max_connections > 0 && settings.max_connections < settings.processes) {
    throw std::invalid_argument("ServerOptions::max_connections is " + std::to_string(settings.max_connections) +
                                ", and each of the " + std::to_string(settings.processes) + " processes needs one");
  }
}

}  // namespace sockserv::inline abi_0::detail
