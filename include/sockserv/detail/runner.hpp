#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <sockserv/detail/idle.hpp>
#include <sockserv/detail/task.hpp>
#include <sockserv/export.hpp>

namespace sockserv::inline abi_0 {
struct ServerStats;
}

namespace sockserv::inline abi_0::detail {

/// What a runner that accepts requests itself needs of its server.
class SOCKSERV_EXPORT Acceptor {
 public:
  virtual ~Acceptor() = default;

  /// The listening socket.
  virtual int listener() const noexcept = 0;
  /// Returns false while a limit is reached, or accepting pauses after a failure.
  virtual bool may_accept() = 0;
  /// Accepts one request and gives it to the runner; returns false if there was none. Calls are not concurrent.
  virtual bool accept() = 0;
};

/// The processes of a runner that serves requests in other processes than its own.
///
/// @par Thread safety
/// Safe, except that the thread that serves calls `take_backlog`.
class SOCKSERV_EXPORT Processes {
 public:
  virtual ~Processes() = default;

  virtual std::set<pid_t> ids() const = 0;
  /// Returns the number of requests that run in all processes, if this one knows of `here`.
  virtual std::size_t requests(std::size_t here) const = 0;
  /// Waits until no process is left, or until the deadline; returns true if none is.
  virtual bool wait_until_none(std::chrono::steady_clock::time_point deadline) = 0;
  /// Makes `wait_until_none()` return at once, now and from now on. Async-signal-safe.
  virtual void stop_waiting() noexcept = 0;

  /// Tells the processes that the server stops, and which idle connections they are to end.
  virtual void stop(EndIdle) noexcept {}

  /// @name For processes that serve one request each
  /// @{

  /// In such a process: returns true once it has been told so.
  virtual bool stop_requested() const noexcept { return false; }
  /// Called in such a process when its handler is about to wait for the next request of this connection: from then on
  /// the process hears of it.
  virtual void expect_stop(int) {}
  /// @}

  /// @name For processes that accept
  /// @{

  /// Returns true once a process is about to accept.
  virtual bool is_ready() const { return true; }
  /// Has processes take what the backlog holds; returns false if that is left to the server. `is_wanted` returns false
  /// once the backlog is empty, or need not be taken any more; `wait` waits a moment, and calls `Runner::collect()`.
  virtual bool take_backlog(const std::function<bool()>& /*is_wanted*/, const std::function<void()>& /*wait*/) {
    return false;
  }
  /// Adds what the processes counted.
  virtual void add_to(ServerStats&) const {}
  /// @}
};

/// Decides where accepted requests run: in the serving thread, in threads of their own, in a pool, in child processes,
/// in worker processes, or on fibers. A server has exactly one: that which its mixin makes, or else `Inline`.
///
/// When `has_room()` has returned false, or the runner has stopped accepting by itself because it may not, it wakes the
/// server as soon as there is room again. It does so by a function that it is constructed with.
///
/// @par Thread safety
/// Safe, except that one thread at a time serves and so calls `start`, `accept`, `stop_accepting`, `watch` and
/// `collect`.
///
/// @par Lifetime
/// The destructor waits until no task runs in this process, since tasks use the server.
class SOCKSERV_EXPORT Runner {
 public:
  using duration = std::chrono::steady_clock::duration;
  using time_point = std::chrono::steady_clock::time_point;

  Runner() = default;
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;
  virtual ~Runner() = default;

  /// Acquires what running takes, before the server accepts. `acceptor` outlives the runner.
  virtual void start(Acceptor&) {}
  /// Has the runner accept, from now on until `stop_accepting()` or until it may not; returns false if it is the server
  /// that accepts.
  virtual bool accept() { return false; }
  /// When this returns, the runner does not accept in this process. `to_drain`: the backlog is to be taken.
  virtual void stop_accepting(bool /*to_drain*/) noexcept {}

  /// Runs the task, now or soon. The task is still the caller's if there is no room for it, if a child process runs a
  /// copy of it, and if this throws.
  virtual void run(std::unique_ptr<Task>& task) = 0;
  /// Returns true if a task that came now would run, or could be queued.
  virtual bool has_room() const { return true; }

  /// What the other tasks lose while one waits for its client.
  enum class CostOfWaiting {
    nothing,
    a_place,     ///< A thread or a process, of which there may be a limited number.
    everything,  ///< None of them runs.
  };
  virtual CostOfWaiting cost_of_waiting() const noexcept { return CostOfWaiting::a_place; }

  /// Returns false if a thread that all tasks need has been kept by one of them since the last call. Called by the
  /// thread that serves, now and then.
  virtual bool is_responsive() { return true; }

  /// The number of tasks that this process runs or has queued.
  virtual std::size_t running() const = 0;
  /// Waits until none is left, or until the deadline; returns true if none is.
  virtual bool wait_until_idle(time_point deadline) = 0;
  /// Called after the server has shut down its connections. Wakes tasks that wait for something else, and tells
  /// processes to stop; `last_resort` kills the processes. Returns how many requests that aborts besides those in the
  /// server's registry.
  virtual std::size_t abort(bool last_resort) noexcept = 0;

  /// Called before the serving loop waits. Returns when the loop is to call `collect()`: when the descriptor becomes
  /// readable (-1: there is none), and after that time at the latest (no value: the descriptor is enough).
  struct Watch {
    int descriptor = -1;
    std::optional<duration> interval = {};
  };
  virtual Watch watch() { return {}; }
  /// Reaps processes that have exited, and reports tasks that have kept their thread for too long. What it throws ends
  /// serving.
  virtual void collect() {}

  /// Returns the runner's processes; null if it runs tasks in this process alone.
  virtual Processes* processes() noexcept { return nullptr; }
};

}  // namespace sockserv::inline abi_0::detail
