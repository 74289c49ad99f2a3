/// The serving loop, and who takes what the backlog holds at the end.

#include <sockserv/server/abstract.hpp>

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <sockserv/detail/deadline.hpp>
#include <sockserv/detail/descriptor.hpp>
#include <sockserv/detail/request_scope.hpp>
#include <sockserv/detail/settings.hpp>
#include <sockserv/error.hpp>
#include <stdexcept>
#include <string>
#include <thread>

namespace sockserv {
namespace {

using detail::deadline_after;

/// How many requests the loop takes before it looks at anything else.
constexpr int requests_at_a_time = 64;

int poll_timeout(const std::optional<AbstractServer::time_point>& deadline) noexcept {
  if (!deadline) return -1;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(*deadline - detail::now()).count();
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, std::numeric_limits<int>::max()));
}

}  // namespace

/// The role of the thread that serves, which one thread has at a time; given up at the end of the scope.
class AbstractServer::ServingRole {
 public:
  explicit ServingRole(AbstractServer& server) : server_(server), scope_(server) {}
  ServingRole(const ServingRole&) = delete;
  ServingRole& operator=(const ServingRole&) = delete;
  ~ServingRole() { server_.give_up_serving_role(); }

 private:
  AbstractServer& server_;
  detail::RequestScope scope_;
};

void AbstractServer::serve_forever(duration poll_interval) {
  detail::require_positive("serve_forever: poll_interval", poll_interval);
  if (!take_serving_role("serve_forever")) return;
  const ServingRole role(*this);
  poll_interval_ = poll_interval;
  {
    struct Ending {
      AbstractServer& server;
      ~Ending() {
        server.takes_requests_ahead_ = false;
        server.end_serving();
      }
    } const ending{*this};
    takes_requests_ahead_ = may_take_requests_ahead();
    begin_serving();
    while (!stop_requested_) {
      if (when_ready_ && is_ready()) std::exchange(when_ready_, nullptr)();
      const bool for_requests = may_accept_now() && !others_accept();
      if (wait(deadline_after(poll_interval), for_requests).request) {
        handle_waiting_requests();
      } else {
        service();
      }
    }
  }
  end_idle();
  if (drain_expected_) begin_expected_drain();
  take_backlog();
  throw_fatal_error();
}

/// Goes on while there are requests, so that a busy server does not ask before each whether there is one.
void AbstractServer::handle_waiting_requests() {
  for (int left = requests_at_a_time; left > 0; --left) {
    const bool more = handle_request_noblock();
    service();
    if (!more || stop_requested_ || !may_accept_now()) return;
  }
}

void AbstractServer::handle_request() {
  if (!take_serving_role("handle_request")) return;
  const ServingRole role(*this);
  const auto deadline = timeout ? std::optional(deadline_after(*timeout)) : std::nullopt;
  while (!stop_requested_) {
    const ReadyDescriptors ready = wait(deadline, may_accept_now());
    if (ready.request) {
      handle_request_noblock();
      break;
    }
    if (ready.anything) service();
    if (deadline && detail::now() >= *deadline) {
      collect();
      handle_timeout();
      break;
    }
  }
  if (stop_requested_) end_idle();
  throw_fatal_error();
}

void AbstractServer::check_settings() const {
  if (timeout) detail::require_not_negative("timeout", *timeout);
}

/// False if the server has been told to stop.
bool AbstractServer::take_serving_role(const char* caller) {
  const std::scoped_lock lock(mutex_);
  if (stop_requested_) return false;
  if (serving_) throw std::logic_error(std::string(caller) + ": another thread serves already");
  if (!is_listening()) {
    throw std::logic_error(std::string(caller) +
                           ": the server does not listen; it was made with bind_and_activate = false, and "
                           "server_bind() and server_activate() were not called");
  }
  check_settings();
  serving_type_ = &typeid(*this);
  serving_ = true;
  return true;
}

void AbstractServer::give_up_serving_role() noexcept {
  const std::scoped_lock lock(mutex_);
  serving_ = false;
  if (close_after_serving_) end_backlog();
  serving_ended_.notify_all();
}

/// Closes the socket, and with it the question of who takes the backlog. With the mutex held.
void AbstractServer::end_backlog() noexcept {
  stop_listening();
  backlog_taken_ = true;
  taking_backlog_ = false;
}

void AbstractServer::throw_fatal_error() {
  if (const auto error = std::exchange(fatal_error_, nullptr)) std::rethrow_exception(error);
}

/// Where `drain()` follows, it would need another thread for this: there may be none to be had by now.
void AbstractServer::begin_expected_drain() {
  backlog_deadline_ = deadline_after(drain_limit_, time_point(duration(stopped_at_)));
  const std::scoped_lock lock(mutex_);
  if (!backlog_taken_ && !close_after_serving_ && is_listening()) taking_backlog_ = true;
}

/// Serves what was waiting to be accepted when the server was told to drain.
void AbstractServer::take_backlog() {
  if (!taking_backlog_) return;
  serve_backlog();
  const std::scoped_lock lock(mutex_);
  backlog_taken_ = true;
  taking_backlog_ = false;
}

/// No more than the backlog can hold, so that clients who keep coming do not keep the server from ending.
void AbstractServer::serve_backlog() {
  for (int left = backlog_limit(); left > 0 && taking_backlog();) {
    if (!may_accept_now()) {
      poll_once();
    } else if (handle_request_noblock()) {
      --left;
    } else {
      break;
    }
  }
}

bool AbstractServer::is_anyone_waiting() const noexcept { return detail::is_readable(fileno()); }

void AbstractServer::poll_once(std::optional<duration> limit) {
  wait(std::min(limit ? deadline_after(*limit) : time_point::max(), backlog_deadline_), false);
  service();
}

void AbstractServer::service() {
  collect();
  service_actions();
}

/// Waits for the runner's descriptor, or to be woken, or for the end of a pause in accepting, and if asked for a
/// request.
AbstractServer::ReadyDescriptors AbstractServer::wait(std::optional<time_point> deadline, bool for_requests) {
  // Before the runner is asked, which then prepares for waiting.
  if (for_requests && requests_at_hand()) return {.request = !stop_requested_, .anything = true};
  const detail::Runner::Watch runner = watch();
  pollfd watched[3] = {{wake_.get(), POLLIN, 0}, {runner.descriptor, POLLIN, 0}, {-1, POLLIN, 0}};
  if (runner.interval) {
    const time_point next = deadline_after(*runner.interval);
    deadline = std::min(deadline.value_or(next), next);
  }
  if (for_requests) {
    watched[2].fd = fileno();
  } else if (const auto pause_end = accept_pause_.end()) {
    deadline = std::min(deadline.value_or(*pause_end), *pause_end);
  }
  if (::poll(watched, 3, poll_timeout(deadline)) <= 0) return {};  // nothing came, or a signal: the caller looks again
  if (watched[0].revents != 0) {
    std::uint64_t count = 0;
    [[maybe_unused]] const ssize_t result = ::read(wake_.get(), &count, sizeof count);
  }
  return {.request = watched[2].revents != 0 && !stop_requested_, .anything = true};
}

void AbstractServer::wake() noexcept {
  // Saves errno because a signal handler may be calling. A full counter is as good as a wake-up.
  const int saved = errno;
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t result = ::write(wake_.get(), &one, sizeof one);
  errno = saved;
}

/// Where nobody serves, a thread takes the backlog while the caller watches the deadline. The caller does it where
/// there should be no thread, or can be none; then a request that the serving thread itself runs may outlast the
/// deadline.
void AbstractServer::take_unserved_backlog(time_point deadline) {
  {
    const std::scoped_lock lock(mutex_);
    if (serving_ || !taking_backlog_ || !is_listening()) return;
    serving_type_ = &typeid(*this);
    serving_ = true;
  }
  if (!prefers_single_thread() && start_taking_backlog()) return;
  backlog_deadline_ = deadline;
  take_backlog_in_this_thread();
}

/// False if there can be no thread. It is not joined: it may still be in a handler when the caller of `drain()` gives
/// up. Destruction waits for it as for every serving thread.
bool AbstractServer::start_taking_backlog() {
  try {
    std::thread([this] { take_backlog_in_this_thread(); }).detach();
    return true;
  } catch (const std::exception&) {
    return false;
  }
}

void AbstractServer::take_backlog_in_this_thread() {
  const ServingRole role(*this);
  const auto error = detail::error_of([this] {
    check_settings();
    take_backlog();
  });
  if (!error) return;
  log(LogLevel::error, [&] { return "the backlog was not taken whole: " + detail::describe(error); });
}

}  // namespace sockserv
