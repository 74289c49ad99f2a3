/// The serving loop.

#include <poll.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <sockserv/detail/deadline.hpp>
#include <sockserv/detail/request_scope.hpp>
#include <sockserv/detail/server_socket.hpp>
#include <sockserv/detail/settings.hpp>
#include <sockserv/error.hpp>
#include <string>
#include <utility>

#include "serving_role.hpp"

namespace sockserv::inline abi_0 {
namespace {

using detail::deadline_after;

/// How many requests the loop takes before it looks at anything else.
constexpr int requests_at_a_time = 64;

/// How many descriptors a server needs besides those of its connections, at least: standard streams, the listener, and
/// a few of its loop.
constexpr std::size_t descriptors_besides = 8;

/// How often the loop looks whether the first worker is ready, if somebody waits for that.
constexpr std::chrono::milliseconds readiness_interval(5);

}  // namespace

/// Returns false if the server was told to stop.
bool AbstractServer::Core::begin_serving(const char* caller) {
  return lifecycle_.begin_serving(caller, typeid(server_), [this] { server_.check_settings(); });
}

void AbstractServer::Core::serve_forever(duration poll_interval) {
  detail::require_positive("serve_forever: poll_interval", poll_interval);
  if (!begin_serving("serve_forever")) return;
  const ServingRole role(*this);
  poll_interval_ = poll_interval;
  begin_awaiting_clients();
  serve_until_stopped();
  end_idle(detail::EndIdle::after_grace);
  if (drain_expected_) begin_expected_drain();
  take_backlog();
  throw_fatal_error();
}

void AbstractServer::Core::serve_until_stopped() {
  const auto stop_accepting = [this] {
    takes_requests_ahead_ = false;
    runner().stop_accepting(is_drain_wanted());
    if (role_) role_->beats = 0;  // how long the rest may take is not the parent's concern
    max_requests_ = 0;            // a drain goes on to the end of the backlog
  };
  bool has_begun = false;
  try {
    begin_accepting();
    has_begun = true;
    loop();
  } catch (...) {
    stop_accepting();
    if (has_begun) announce_end();
    throw;
  }
  stop_accepting();
  announce_end();
}

void AbstractServer::Core::begin_accepting() {
  takes_requests_ahead_ = !role_;  // what one worker has taken, another cannot serve
  if (role_) {
    role_->listen([this](detail::WorkerCommand command) { return handle_command(command); });
    role_->started();
  }
  runner().start(*this);
  warn_of_few_descriptors();
  if (!role_) return;
  if (role_->beat_interval) ++role_->beats;  // the first request may already keep the loop
  role_->ready();
}

/// A server whose limit of connections is higher than what the system allows meets the system's first, and must pause.
void AbstractServer::Core::warn_of_few_descriptors() const {
  rlimit allowed{};
  const bool has_connections = server_.listener_.open_socket().is_stream();
  const bool serves_elsewhere = server_.runner().processes() != nullptr;  // a child has one connection
  const bool has_been_said = role_ && accepted_before_ > 0;               // by an earlier worker
  if (!has_connections || serves_elsewhere || has_been_said || ::getrlimit(RLIMIT_NOFILE, &allowed) != 0) return;
  if (max_connections_ <= allowed.rlim_cur - std::min<rlim_t>(allowed.rlim_cur, descriptors_besides)) return;
  server_.log(LogLevel::warning, [&] {
    return "max_connections is " + std::to_string(max_connections_) + ", but this process may open only " +
           std::to_string(allowed.rlim_cur) +
           " descriptors (RLIMIT_NOFILE): raise that, by ulimit -n or LimitNOFILE= of systemd, or lower "
           "max_connections";
  });
}

void AbstractServer::Core::loop() {
  while (!lifecycle_.stop_requested()) {
    if (when_ready_ && !is_booting()) std::exchange(when_ready_, nullptr)();
    const bool may_accept = this->may_accept();
    const bool for_requests = may_accept && !runner().accept();
    const time_point limit =
        std::min(deadline_after(poll_interval_), may_accept ? time_point::max() : accepts_again_at());
    if (wait(limit, for_requests).request) {
      handle_waiting_requests();
    } else {
      service();
    }
    serve_awaited_clients();
  }
}

/// Returns true while no process of the runner is about to accept.
bool AbstractServer::Core::is_booting() const {
  const detail::Processes* const processes = runner().processes();
  return processes && !processes->is_ready();
}

void AbstractServer::Core::announce_end() {
  if (const auto error = detail::error_of([this] { server_.serving_loop_ended(); })) {
    server_.log(LogLevel::error, [&] { return "serving_loop_ended failed: " + detail::describe(error); });
  }
}

/// Goes on while there are requests, so that a busy server does not ask before each whether there is one.
void AbstractServer::Core::handle_waiting_requests() {
  for (int left = requests_at_a_time; left > 0; --left) {
    const bool more = server_.handle_request_noblock();
    service();
    if (!more || lifecycle_.stop_requested() || !may_accept()) return;
  }
}

void AbstractServer::Core::handle_request() {
  if (!begin_serving("handle_request")) return;
  const ServingRole role(*this);
  const auto deadline = server_.timeout ? std::optional(deadline_after(*server_.timeout)) : std::nullopt;
  while (!lifecycle_.stop_requested()) {
    const ReadyDescriptors ready = wait(deadline, may_accept());
    if (ready.request) {
      server_.handle_request_noblock();
      break;
    }
    if (ready.anything) service();
    if (deadline && detail::now() >= *deadline) {
      collect();
      server_.handle_timeout();
      break;
    }
  }
  if (lifecycle_.stop_requested()) end_idle(detail::EndIdle::after_grace);
  throw_fatal_error();
}

void AbstractServer::Core::stop_with(std::exception_ptr error) noexcept {
  fatal_error_ = std::move(error);
  request_stop();
}

void AbstractServer::Core::throw_fatal_error() {
  if (const auto error = std::exchange(fatal_error_, nullptr)) std::rethrow_exception(error);
}

void AbstractServer::Core::collect() {
  if (const auto error = detail::error_of([this] { runner().collect(); })) stop_with(error);
  if (role_ && role_->beat_interval) give_sign_of_life();
}

/// For the parent of a worker.
void AbstractServer::Core::give_sign_of_life() {
  const time_point now = detail::now();
  if (now < next_beat_ || lifecycle_.stop_requested()) return;
  next_beat_ = deadline_after(*role_->beat_interval, now);
  if (runner().is_responsive()) ++role_->beats;
}

void AbstractServer::Core::service() {
  collect();
  server_.service_actions();
}

/// One turn of the loop without requests.
void AbstractServer::Core::poll_once(time_point limit) {
  wait(std::min(limit, backlog_deadline_), false);
  service();
  serve_awaited_clients();
}

/// Waits for the runner's descriptor, or to be woken, or for clients, or for the end of a pause in accepting, and if
/// asked for a request.
AbstractServer::Core::ReadyDescriptors AbstractServer::Core::wait(std::optional<time_point> limit, bool for_requests) {
  // Before the runner is asked, which then prepares for waiting.
  if (for_requests && server_.listener_.has_more()) {
    return {.request = !lifecycle_.stop_requested(), .anything = true};
  }
  const detail::Runner::Watch runner = this->runner().watch();
  const detail::LingerSet::Watch lingering = linger_.watch();
  const detail::AwaitedClients::Watch awaited = awaited_.watch();
  pollfd watched[5] = {{wake_.get(), POLLIN, 0},
                       {runner.descriptor, POLLIN, 0},
                       {-1, POLLIN, 0},
                       {lingering.descriptor, POLLIN, 0},
                       {awaited.descriptor, POLLIN, 0}};
  time_point deadline = std::min({limit.value_or(time_point::max()), lingering.deadline, awaited.deadline});
  if (runner.interval) deadline = std::min(deadline, deadline_after(*runner.interval));
  if (role_ && role_->beat_interval && !lifecycle_.stop_requested()) deadline = std::min(deadline, next_beat_);
  if (when_ready_ && is_booting()) deadline = std::min(deadline, deadline_after(readiness_interval));
  if (for_requests) {
    watched[2].fd = listener();
  } else if (const auto pause_end = accept_pause_.end()) {
    deadline = std::min(deadline, *pause_end);
  }
  const int ready = ::poll(watched, 5, detail::milliseconds_until(deadline));
  linger_.serve();            // here, and not with each request that is accepted
  if (ready <= 0) return {};  // if nothing comes, or a signal does, the caller looks again
  if (watched[0].revents != 0) {
    std::uint64_t count = 0;
    [[maybe_unused]] const ssize_t result = ::read(wake_.get(), &count, sizeof count);
  }
  return {.request = watched[2].revents != 0 && !lifecycle_.stop_requested(), .anything = true};
}

void AbstractServer::Core::wake() noexcept {
  // Saves errno because a signal handler may be calling. A full counter is as good as a wake-up.
  const int saved = errno;
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t result = ::write(wake_.get(), &one, sizeof one);
  errno = saved;
}

}  // namespace sockserv::inline abi_0
