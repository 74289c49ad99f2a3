#pragma once

#include <functional>
#include <sockserv/detail/clock.hpp>
#include <sockserv/error.hpp>
#include <sockserv/export.hpp>

namespace boost::asio {
class io_context;
}

namespace sockserv::inline abi_0::detail {

class LiveRequests;

/// How code waits for anything but the bytes of its client, and what time it is: a plain thread blocks in the kernel; a
/// fiber parks, and its loop runs others meanwhile.
///
/// A scheduler belongs to the place where code runs, a `Transport` to a connection: `testing::converse` serves a client
/// in memory in a plain thread. `scheduler_of_caller()` finds that of its caller.
class SOCKSERV_EXPORT Scheduler {
 public:
  /// Returns the time.
  static time_point now() noexcept { return detail::now(); }

  /// Returns true if the caller may block in the kernel, because that holds up nobody else.
  virtual bool may_block() const noexcept = 0;

  /// Lets others run first if the caller has gone on for long. For operations that may never have to wait.
  virtual void take_turns() noexcept = 0;

  /// Waits until a descriptor is ready for one of `events`: POLLIN, POLLOUT of poll(2), or both. Reports
  /// `errc::timed_out` at the deadline. On a fiber it may return sooner, so the caller tries again what it waits for.
  virtual void wait_for_descriptor(int descriptor, short events, time_point deadline, error_code& error) noexcept = 0;

  /// Waits until a point in time. Returns false if the server whose handler is calling aborts its requests before;
  /// `live` are that server's, null outside of handlers.
  virtual bool sleep_until(time_point time, LiveRequests* live) = 0;

  /// Does work that blocks or takes long, where it holds nobody up, and waits until it is done. It must not throw.
  virtual void offload(const std::function<void()>& work) = 0;

  /// @name Asynchronous operations
  /// @{

  /// Returns the context in which operations of the caller run.
  virtual boost::asio::io_context& context() = 0;

  enum class Outcome { done, timed_out, aborted };
  /// Waits until something that runs in `context()` has set `done` and called `wake()`, or until the server of `live`
  /// aborts its requests; null: nobody does.
  virtual Outcome wait_until_done(const bool& done, time_point deadline, LiveRequests* live) = 0;
  virtual void wake() = 0;
  /// @}

 protected:
  ~Scheduler() = default;
};

/// Returns the scheduler of plain threads, which block in the kernel.
SOCKSERV_EXPORT Scheduler& thread_scheduler() noexcept;

}  // namespace sockserv::inline abi_0::detail
