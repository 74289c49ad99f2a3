#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <sockserv/detail/listener.hpp>
#include <sockserv/server/abstract.hpp>
#include <typeinfo>

namespace sockserv::inline abi_0 {

/// The state of a server, and each step from one state to another:
///
///     created ──begin_serving──> serving ──request_stop──> draining ──the last thread and request end──> stopped
///     created ──request_stop──────────────────────────────────────────────────────────────────────────> stopped
///     stopped ──want_backlog──> draining
///
/// Nothing leads back to serving. While a thread serves, the listener stays open: whatever closes it waits for that
/// thread, or leaves the closing to it.
///
/// @par Thread safety
/// Safe.
class Lifecycle {
 public:
  using duration = std::chrono::steady_clock::duration;
  using time_point = std::chrono::steady_clock::time_point;

  explicit Lifecycle(detail::Listener& listener) noexcept : listener_(listener) {}
  Lifecycle(const Lifecycle&) = delete;
  Lifecycle& operator=(const Lifecycle&) = delete;

  /// @name Serving
  /// @{

  /// Makes the calling thread the one that serves. Returns false if the server was told to stop.
  ///
  /// `check` is called before that, without a lock; what it throws changes nothing. `server` is the class that serves,
  /// and `caller` the function that the error names.
  /// @throws std::logic_error if another thread serves, or if the server does not listen.
  bool begin_serving(const char* caller, const std::type_info& server, const std::function<void()>& check);
  /// Makes the calling thread the one that serves, to take the backlog. Returns false if that is not wanted, or if
  /// another thread serves.
  bool begin_serving_backlog(const std::type_info& server);
  /// Ends what either began, and closes the listener if that was left to this thread.
  void end_serving() noexcept;
  /// Returns true if no thread serves any more; false if the deadline came first.
  bool wait_for_serving_thread(time_point deadline);
  /// Returns the class that serves or has served; null if none has.
  const std::type_info* served_as() const noexcept { return served_as_; }
  bool is_serving() const;
  /// @}

  /// @name Stopping
  /// @{

  /// Returns true the first time. Async-signal-safe.
  bool request_stop() noexcept;
  bool stop_requested() const noexcept { return stop_requested_; }
  /// Returns when the server was first told to stop.
  time_point stopped_at() const noexcept { return time_point(duration(stopped_at_)); }
  /// Closes the listener: now, or when the thread that serves ends.
  void close_listener() noexcept;
  /// @}

  /// @name The backlog, once the server stops
  /// @{

  /// Has the backlog taken, if there still is one. `unless_closing`: not if the thread that serves is to close the
  /// listener.
  void want_backlog(bool unless_closing = false);
  bool is_backlog_wanted() const noexcept { return backlog_ == Backlog::wanted; }
  /// Leaves the backlog as it is. It may be wanted again.
  void leave_backlog() noexcept;
  /// Called by the thread that serves when it has taken the backlog.
  void backlog_taken();
  /// @}

  /// `runs` says whether any request runs.
  ServerState state(const std::function<bool()>& runs) const;

  /// Held across fork(), so that the child's copy is whole and free.
  std::mutex& mutex() noexcept { return mutex_; }

 private:
  enum class Backlog : unsigned char {
    left,    ///< Nobody takes it.
    wanted,  ///< To be taken by the thread that serves.
    gone,    ///< It was taken, or the listener is closed.
  };

  void close_now() noexcept;

  detail::Listener& listener_;
  std::atomic<bool> stop_requested_ = false;
  std::atomic<duration::rep> stopped_at_ = 0;
  std::atomic<const std::type_info*> served_as_ = nullptr;
  std::atomic<Backlog> backlog_ = Backlog::left;  // changed with the mutex held, except from `wanted` to `left`

  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable serving_ended_;
  bool serving_ = false;
  bool close_after_serving_ = false;
};

}  // namespace sockserv::inline abi_0
