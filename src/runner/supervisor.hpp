#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <random>
#include <set>
#include <sockserv/detail/descriptor.hpp>
#include <sockserv/detail/runners.hpp>
#include <sockserv/detail/shared_memory.hpp>
#include <string>
#include <vector>

#include "../server/worker_role.hpp"
#include "child_processes.hpp"
#include "parent_link.hpp"
#include "worker_slot.hpp"

namespace sockserv::inline abi_0::detail {

/// How often a worker gives a sign of life, and its parent looks for it.
inline Runner::duration look_interval_of(Runner::duration worker_timeout) noexcept { return worker_timeout / 8; }

/// The worker processes of one server, as the parent has them: started, watched, sent commands, replaced, reaped.
///
/// @par Thread safety
/// `notify`, `abort`, `kill`, `collect`, `wait_until_none` and the const functions may be called by any thread. The
/// rest is for the thread that serves.
class Supervisor {
 public:
  using duration = std::chrono::steady_clock::duration;
  using time_point = std::chrono::steady_clock::time_point;
  explicit Supervisor(LogFunction log);
  Supervisor(const Supervisor&) = delete;
  Supervisor& operator=(const Supervisor&) = delete;
  /// Kills the workers that are left.
  ~Supervisor();

  /// Makes slots for this many workers, the first time that it is called.
  void make_slots(std::size_t count);

  /// Starts a worker in a free slot: calls `fork`, which returns as fork() does or throws. In the worker it makes
  /// `link`, and returns 0.
  pid_t start(const std::function<pid_t()>& fork, std::optional<ParentLink>& link);
  /// Called when that throws: it counts as a worker that ended early.
  void not_started(const std::exception_ptr& error);
  /// Returns true if a slot is free and it is time to start a worker there.
  bool is_one_due() const;

  /// Looks at the workers that exited, and kills those that take too long to be ready, or give no sign of life.
  void supervise(const WorkersSettings& settings);
  /// Returns how soon to do so even if no worker exits. No value: it can wait for that.
  std::optional<duration> look_interval(const WorkersSettings& settings) const;
  /// Returns an error if this many workers in a row ended early (before they were ready, or within a second and without
  /// having accepted anything) or could not be started. Null if not, or if the last one could not be forked and another
  /// still serves.
  std::exception_ptr early_deaths_error(std::size_t limit) const;

  void notify(WorkerCommand command) noexcept;
  /// Has the workers abort what they run; returns how many requests those are.
  std::size_t abort() noexcept;
  /// Kills the workers; returns how many requests they were serving.
  std::size_t kill() noexcept;
  /// Reaps those that exited.
  void collect() { children_.collect(); }
  bool wait_until_none(time_point deadline) { return children_.wait_until_none(deadline); }
  /// Makes `wait_until_none()` return at once. Async-signal-safe.
  void stop_waiting() noexcept { children_.stop_waiting(); }
  /// Becomes readable when a worker exits.
  int descriptor() const noexcept { return children_.descriptor(); }

  std::set<pid_t> ids() const { return children_.active(); }
  bool has_free_slot() const;
  /// Returns true if a worker that was started then or later is ready.
  bool is_one_ready_since(time_point then) const;
  /// Returns the number of requests that the workers accepted and that have not ended.
  std::size_t requests() const;
  /// Adds what all workers counted, including those that exited.
  void add_to(ServerStats& stats) const;

 private:
  struct Worker {
    pid_t id = 0;        // 0: the slot is free
    Descriptor channel;  // the parent's end
    time_point started{};
    std::uint64_t accepted_before = 0;
    std::size_t running_before = 0;  // requests, when it was told to abort them
    bool proven = false;             // it has served well, which is looked at only until it has
    bool overdue = false;            // killed because it was not ready in time

    std::uint64_t beats = 0;  // when it was last looked at
    duration silence{};       // how long it has given no sign of life, as far as this process has looked
    time_point aborted{};     // when it was, for that
  };
  struct Exited {
    pid_t id;
    std::optional<int> status;
    bool early;
    bool well;
    bool overdue;
    bool silent;
  };

  void has_exited(pid_t worker, std::optional<int> status);
  bool has_served_well(std::size_t index) const;
  void send_all(WorkerCommand command) const noexcept;
  std::optional<Exited> next_exited();
  std::optional<pid_t> next_overdue(duration boot_timeout);
  void end_silent(duration worker_timeout);
  int signal_for(Worker& worker, const WorkerSlot& slot, duration worker_timeout, duration since_last_look);
  void note_proven();
  void died_early(const std::function<std::string()>& how);
  std::optional<std::size_t> free_slot() const;

  const LogFunction log_;
  ChildProcesses children_;
  Descriptor parent_;  // the parent's own pidfd, for the workers

  // Taken within the lock of `children_`, never around it.
  mutable std::mutex mutex_;  // guards what follows
  SharedMemory<WorkerSlot> slots_;
  std::vector<Worker> workers_;  // one for each slot
  std::vector<Exited> exited_;   // there is room

  // The serving thread's:
  std::size_t early_deaths_ = 0;
  std::string last_early_death_;
  bool lacks_processes_ = false;  // the last one could not be forked
  time_point next_start_{};
  time_point last_look_{};
  std::minstd_rand random_{std::random_device()()};
};

}  // namespace sockserv::inline abi_0::detail
