#pragma once

/// The runners that mixins make. They ask for their settings whenever they need them: those are the mixin's knobs,
/// which may be set until the server serves.

#include <sys/types.h>

#include <boost/asio/execution_context.hpp>
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <sockserv/detail/fibers_settings.hpp>
#include <sockserv/detail/runner.hpp>
#include <sockserv/export.hpp>
#include <sockserv/log.hpp>
#include <string>

namespace sockserv::inline abi_0::detail {

/// Logs the message that `make` returns.
using LogFunction = std::function<void(LogLevel, const std::function<std::string()>& make)>;

class ClosedTogether;
struct Counters;
struct WorkerRole;

/// Runs each task in a new thread.
struct ThreadsSettings {
  std::size_t max_threads = 0;  ///< 0: no limit.
  std::size_t stack_size = 0;   ///< Of each thread, in bytes. 0: the system's default.
};
SOCKSERV_EXPORT std::unique_ptr<Runner> make_threads(std::function<ThreadsSettings()> settings,
                                                     std::function<void()> wake);

/// Runs tasks in a bounded number of threads, and queues some.
struct PoolSettings {
  std::size_t threads = 1;
  std::size_t queue = 0;
  std::size_t stack_size = 0;  ///< As above.
  bool rejects = false;        ///< It claims to have room, and takes no task when it has none.
};
SOCKSERV_EXPORT std::unique_ptr<Runner> make_pool(std::function<PoolSettings()> settings, std::function<void()> wake);

/// Runs tasks on fibers of a number of threads, which also accept. Asks for its settings once, when it starts them.
SOCKSERV_EXPORT std::unique_ptr<Runner> make_fibers(std::function<FibersSettings()> settings,
                                                    std::function<void()> wake, LogFunction log);
/// @throws std::invalid_argument for a setting that makes no sense.
SOCKSERV_EXPORT void check(const FibersSettings& settings);

/// Runs each task in a new process, and leaves the caller its own copy.
struct ForksSettings {
  /// Returns the most children at a time.
  std::function<std::size_t()> max_children;
  /// The server's fork(), as `AbstractServer::fork_process()`.
  std::function<pid_t(ClosedTogether& unneeded)> fork;
  /// Called before each fork, and after it in the parent and in the child.
  std::function<void(boost::asio::execution_context::fork_event)> notify;
  /// In a child: ends the requests that are idle.
  std::function<void(EndIdle)> end_idle;
  /// Has the server count there from now on: in memory that it shares with the children.
  std::function<void(Counters&)> count_in;
};
SOCKSERV_EXPORT std::unique_ptr<Runner> make_forks(ForksSettings settings);

/// Leaves requests to worker processes, which accept them.
struct WorkersSettings {
  std::size_t processes = 1;
  std::size_t max_requests = 0;     ///< After accepting this many a worker is replaced. 0: no limit.
  std::size_t max_connections = 0;  ///< Of all workers together. 0: no limit.
  Runner::duration boot_timeout{};
  std::optional<Runner::duration> worker_timeout = {};  ///< No value: workers are not watched.
  std::size_t max_early_deaths = 1;
};
struct WorkersHooks {
  std::function<WorkersSettings()> settings;
  /// The server's fork(), as `AbstractServer::fork_worker()`.
  std::function<pid_t()> fork;
  /// Called before each fork, and after it in the parent and in the child.
  std::function<void(boost::asio::execution_context::fork_event)> notify;
  /// Called in a worker: serves until the worker is told to stop.
  std::function<void(const WorkerRole&)> serve;
  /// Called in a worker before it serves: the user's `worker_started()`.
  std::function<void()> started;
  LogFunction log;
};
/// `inner` runs the tasks of the parent itself; null: it runs them in the thread that calls.
SOCKSERV_EXPORT std::unique_ptr<Runner> make_workers(WorkersHooks hooks, std::unique_ptr<Runner> inner);
/// @throws std::invalid_argument for a setting that makes no sense.
SOCKSERV_EXPORT void check(const WorkersSettings& settings);

}  // namespace sockserv::inline abi_0::detail
