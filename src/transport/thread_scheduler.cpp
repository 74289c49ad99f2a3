#include "thread_scheduler.hpp"

#include <poll.h>

#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <cerrno>
#include <chrono>
#include <optional>
#include <sockserv/detail/contexts.hpp>
#include <sockserv/detail/deadline.hpp>
#include <sockserv/detail/live_requests.hpp>
#include <thread>

namespace sockserv::inline abi_0::detail {

constinit ThreadScheduler plain_thread;

Scheduler& thread_scheduler() noexcept { return plain_thread; }

void ThreadScheduler::wait_for_descriptor(int descriptor, short events, time_point deadline,
                                          error_code& error) noexcept {
  pollfd watched{descriptor, events, 0};
  error.clear();
  for (;;) {
    const int ready = ::poll(&watched, 1, milliseconds_until(deadline));
    if (ready > 0) return;
    if (ready < 0 && errno != EINTR) {
      error = last_system_error();
      return;
    }
    if (deadline != no_deadline && detail::now() >= deadline) {
      error = errc::timed_out;
      return;
    }
  }
}

bool ThreadScheduler::sleep_until(time_point time, LiveRequests* live) {
  if (live) return !live->wait_until_aborted(time);
  std::this_thread::sleep_until(time);
  return true;
}

void ThreadScheduler::offload(const std::function<void()>& work) { work(); }

boost::asio::io_context& ThreadScheduler::context() { return context_of_this_thread(); }

ThreadScheduler::Outcome ThreadScheduler::wait_until_done(const bool& done, time_point deadline, LiveRequests* live) {
  boost::asio::io_context& own = context();
  const auto work = boost::asio::make_work_guard(own);
  own.restart();
  std::atomic<bool> aborted = false;
  std::optional<LiveRequests::AbortAction> on_abort;
  if (live) {
    on_abort.emplace(*live, [&] {
      aborted = true;
      own.stop();
    });
  }
  while (!done) {
    if (aborted) return Outcome::aborted;
    if (deadline == no_deadline) {
      own.run_one();
    } else if (own.run_one_until(deadline) == 0) {
      return aborted ? Outcome::aborted : Outcome::timed_out;
    }
  }
  return Outcome::done;
}

}  // namespace sockserv::inline abi_0::detail
