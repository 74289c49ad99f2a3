#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>

#include "running_tasks.hpp"
#include "thread_group.hpp"

namespace sockserv::inline abi_0::detail {

/// A bounded number of threads that do tasks one after another, and the tasks that wait for one.
///
/// @par Thread safety
/// Safe.
class ThreadPool {
 public:
  struct Limits {
    std::size_t threads;
    std::size_t queue;
    std::size_t stack_size;
  };

  /// `on_room` is called when there is room after `has_room` has returned false.
  explicit ThreadPool(std::function<void()> on_room) : unfinished_(std::move(on_room)) {}
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;
  /// Waits until all tasks are done.
  ~ThreadPool() { stop(); }

  /// True if a task would be done or queued within the limits.
  bool has_room(const Limits& limits) const;

  /// Has the task done by a thread that is idle, or by a new one, or by the next that becomes idle.
  /// @throws boost::thread_resource_error if there is no thread at all and can be none, std::bad_alloc if there is no
  ///     memory; the task is still the caller's then.
  void submit(std::unique_ptr<Task>& task, const Limits& limits);

  /// Tasks that have been submitted and are not done.
  std::size_t running() const { return unfinished_.count(); }
  /// Returns true if none is left; false if the deadline came first.
  bool wait_until_none(std::chrono::steady_clock::time_point deadline) const {
    return unfinished_.wait_until_none(deadline);
  }

  /// Waits until all tasks are done, and ends the threads.
  void stop();

 private:
  class Worker;

  void start_thread(const Limits& limits);
  std::unique_ptr<Task> next_task();

  RunningTasks unfinished_;  // and those in the queue
  std::mutex submitting_;    // held by the one who may start a thread; taken before the next
  std::mutex mutex_;         // guards what follows
  std::condition_variable task_or_end_;
  std::deque<std::unique_ptr<Task>> queue_;
  std::size_t threads_ = 0;
  std::size_t idle_ = 0;
  bool ending_ = false;

  ThreadGroup group_{[] {}};  // last, so that its threads end before what they use
};

}  // namespace sockserv::inline abi_0::detail
