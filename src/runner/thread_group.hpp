#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <sockserv/detail/task.hpp>

#include "running_tasks.hpp"

namespace sockserv::inline abi_0::detail {

/// Threads that come and go: each counts itself out when its task is done, so that nothing grows with the number of
/// threads that there have been.
///
/// @par Thread safety
/// Safe.
class ThreadGroup {
 public:
  /// `on_room` is called when a thread ends after `has_room` has returned false.
  explicit ThreadGroup(std::function<void()> on_room);
  ~ThreadGroup();

  /// Runs the task in a new boost::thread with a stack of that many bytes (0: the system's default).
  /// @throws boost::thread_resource_error if there can be no thread, std::bad_alloc if there is no memory; the task is
  ///     still the caller's then.
  void start(std::unique_ptr<Task>& task, std::size_t stack_size);

  std::size_t running() const { return running_->count(); }
  bool has_room(std::size_t limit) const { return running_->has_room(limit); }
  /// Returns true if no thread is left; false if the deadline came first.
  bool wait_until_none(std::chrono::steady_clock::time_point deadline = std::chrono::steady_clock::time_point::max()) {
    return running_->wait_until_none(deadline);
  }

 private:
  class Membership;
  std::shared_ptr<RunningTasks> running_;  // each thread's too: the last to leave may still hold the lock when we go
};

}  // namespace sockserv::inline abi_0::detail
