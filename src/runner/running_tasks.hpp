#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <mutex>
#include <utility>

namespace sockserv::inline abi_0::detail {

/// The account of the tasks that threads run: how many there are, whether there is room for another, and when none is
/// left.
///
/// @par Thread safety
/// Safe. A thread that waited for the last task may destroy this at once.
class RunningTasks {
 public:
  /// `on_room` is called when a task ends after `has_room()` has returned false.
  explicit RunningTasks(std::function<void()> on_room) : on_room_(std::move(on_room)) {}
  RunningTasks(const RunningTasks&) = delete;
  RunningTasks& operator=(const RunningTasks&) = delete;

  void begin() {
    const std::scoped_lock lock(mutex_);
    ++count_;
  }
  void end() noexcept {
    const std::scoped_lock lock(mutex_);
    // Under the lock, because a thread that waits for the last task may then destroy what on_room_ refers to.
    if (std::exchange(room_wanted_, false)) on_room_();
    if (--count_ == 0) none_left_.notify_all();
  }

  std::size_t count() const {
    const std::scoped_lock lock(mutex_);
    return count_;
  }
  bool has_room(std::size_t limit) const {
    const std::scoped_lock lock(mutex_);
    room_wanted_ = count_ >= limit;
    return !room_wanted_;
  }
  /// Returns true if no task is left; false if the deadline came first.
  bool wait_until_none(std::chrono::steady_clock::time_point deadline) const {
    std::unique_lock lock(mutex_);
    return none_left_.wait_until(lock, deadline, [this] { return count_ == 0; });
  }

 private:
  const std::function<void()> on_room_;
  mutable std::mutex mutex_;  // guards what follows
  mutable std::condition_variable none_left_;
  std::size_t count_ = 0;
  mutable bool room_wanted_ = false;  // has_room() has returned false
};

}  // namespace sockserv::inline abi_0::detail
