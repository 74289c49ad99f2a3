#pragma once

#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <random>
#include <set>
#include <sockserv/detail/child_processes.hpp>
#include <sockserv/detail/counters.hpp>
#include <sockserv/detail/descriptor.hpp>
#include <sockserv/detail/shared_memory.hpp>
#include <sockserv/export.hpp>
#include <sockserv/server/abstract.hpp>
#include <string>
#include <vector>

namespace sockserv::detail {

/// What a parent tells its workers.
enum class WorkerCommand : char {
  stop = 's',   ///< Accept no more, finish, end.
  drain = 'd',  ///< The same, after the backlog.
  abort = 'c',  ///< Abort what still runs, and answer how many requests that were.
};

/// What a worker shows its parent and siblings, in memory that they share. The workers that follow one another in one
/// place use it in turn, so that the counts of those who have ended are kept.
struct alignas(64) WorkerSlot {  // a cache line or more, so that workers do not hinder each other
  Counters counters;
  std::atomic<std::size_t> running = 0;  // requests
  std::atomic<bool> ready = false;
};

/// The worker processes of one server: started, watched, told what to do, replaced, reaped. In a worker, the same
/// object is its way to the parent.
///
/// A worker ends as soon as its parent does, in whatever way: a thread in it waits for that, and for commands, at the
/// other end of a socket pair. Only the parent has the first end; each worker closes those of its siblings.
///
/// @par Thread safety
/// `notify`, `abort`, `kill`, `collect`, `wait_until_none` and whatever is const may be called by any thread of the
/// parent. The rest is for the thread that serves.
class SOCKSERV_EXPORT WorkerProcesses {
 public:
  using duration = std::chrono::steady_clock::duration;
  using time_point = std::chrono::steady_clock::time_point;

  WorkerProcesses();
  WorkerProcesses(const WorkerProcesses&) = delete;
  WorkerProcesses& operator=(const WorkerProcesses&) = delete;
  /// Kills the workers that are left.
  ~WorkerProcesses();

  /// @name In the parent
  /// @{

  /// Makes slots for this many workers, the first time that it is called.
  void make_slots(std::size_t count);

  /// Starts a worker in a free slot: calls `fork`, which returns as fork() does or throws. Returns 0 in the worker.
  pid_t start(const std::function<pid_t()>& fork);
  /// To be called when that throws: counts as a worker that has ended early.
  void not_started(const std::exception_ptr& error, const AbstractServer& server);
  /// True if a slot is free and it is time to start a worker there.
  bool is_one_due() const;

  /// Looks at the workers that have ended, and at those that take too long to be ready, which are killed.
  void supervise(duration boot_timeout, const AbstractServer& server);
  /// How soon to do so even if none ends. No value: it can wait for that. Soon while a worker boots, if somebody waits
  /// for the first one to be ready.
  std::optional<duration> look_interval(duration boot_timeout, bool is_readiness_awaited) const;
  /// The error that it is when so many workers in a row have ended early: before they were ready, or within a second
  /// and without having accepted anything. Null while they have not.
  std::exception_ptr early_deaths_error(std::size_t limit) const;

  void notify(WorkerCommand command) noexcept;
  /// Has the workers abort what they run; returns how many requests those are.
  std::size_t abort() noexcept;
  /// Kills the workers; returns how many requests they were serving.
  std::size_t kill() noexcept;
  /// Reaps those that have ended.
  void collect() { children_.collect(); }
  bool wait_until_none(time_point deadline) { return children_.wait_until_none(deadline); }
  /// Makes `wait_until_none()` return at once. Async-signal-safe.
  void stop_waiting() noexcept { children_.stop_waiting(); }
  /// Becomes readable when a worker has ended.
  int descriptor() const noexcept { return children_.descriptor(); }

  std::set<pid_t> ids() const { return children_.active(); }
  bool has_free_slot() const;
  /// True if a worker that was started then or later is ready.
  bool is_one_ready_since(time_point then) const;
  bool empty() const { return children_.size() == 0; }
  /// Requests that the workers have accepted and that have not ended.
  std::size_t requests_running() const;
  /// @}

  /// @name In a worker
  /// @{

  /// Listens to the parent from now on, in a thread: `handle_command` is called with its commands. Returns when the
  /// thread runs.
  void listen(std::function<void(WorkerCommand)> handle_command);
  void is_ready() noexcept { own_slot_->ready = true; }
  void answer(std::size_t requests_aborted) noexcept;
  /// How many requests this process has accepted.
  std::uint64_t accepted() const noexcept { return own_slot_->counters.accepted - accepted_before_; }
  WorkerSlot& own_slot() noexcept { return *own_slot_; }
  std::size_t own_index() const noexcept { return static_cast<std::size_t>(own_slot_ - slots_.values().data()); }
  /// @}

  /// True in a worker.
  bool inside() const noexcept { return own_slot_ != nullptr; }

  /// Calls `visit(const WorkerSlot&)` for each: together they tell what all workers have done.
  template <class Visit>
  void for_each_slot(Visit&& visit) const {
    const std::scoped_lock lock(mutex_);
    for (const WorkerSlot& slot : slots_.values()) visit(slot);
  }

 private:
  struct Worker {
    pid_t id = 0;        // 0: the slot is free
    Descriptor channel;  // the parent's end
    time_point started{};
    std::uint64_t accepted_before = 0;
    std::size_t running_before = 0;  // requests, when it was told to abort them
    bool proven = false;             // it has served well, which is looked at only until it has
    bool overdue = false;            // killed because it was not ready in time
  };
  struct Ended {
    pid_t id;
    std::optional<int> status;
    bool early;
    bool well;
    bool overdue;
  };

  void has_ended(pid_t worker, std::optional<int> status);
  bool has_served_well(std::size_t index) const;
  void send_all(WorkerCommand command) const noexcept;
  std::optional<Ended> next_ended();
  std::optional<pid_t> next_overdue(duration boot_timeout);
  void note_proven();
  template <class How>
  void died_early(const How& how, const AbstractServer& server);
  std::optional<std::size_t> free_slot() const;

  ChildProcesses children_;
  Descriptor parent_;  // its pidfd, for the workers

  // Taken within the lock of `children_`, never around it.
  mutable std::mutex mutex_;  // guards what follows
  SharedMemory<WorkerSlot> slots_;
  std::vector<Worker> workers_;  // one for each slot
  std::vector<Ended> ended_;     // there is room

  // The serving thread's:
  std::size_t early_deaths_ = 0;
  std::string last_early_death_;
  time_point next_start_{};
  std::minstd_rand random_{std::random_device()()};

  // A worker's:
  WorkerSlot* own_slot_ = nullptr;
  std::uint64_t accepted_before_ = 0;
  Descriptor channel_;
};

}  // namespace sockserv::detail
