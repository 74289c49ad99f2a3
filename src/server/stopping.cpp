/// The ways to stop, from asking to destroying.

#include <sockserv/server/abstract.hpp>

#include <boost/core/demangle.hpp>
#include <sockserv/detail/deadline.hpp>
#include <sockserv/detail/request_scope.hpp>
#include <string>

namespace sockserv {
namespace {

using detail::deadline_after;

/// How long a request that was aborted may take to end.
constexpr AbstractServer::duration force_grace = std::chrono::seconds(2);

}  // namespace

void AbstractServer::request_stop() noexcept {
  duration::rep never = 0;
  stopped_at_.compare_exchange_strong(never, detail::now().time_since_epoch().count());
  stop_requested_ = true;
  wake();
}

bool AbstractServer::called_from_within() const noexcept { return detail::RequestScope::inside(*this); }

bool AbstractServer::wait_for_serving_thread(time_point deadline) {
  std::unique_lock lock(mutex_);
  return serving_ended_.wait_until(lock, deadline, [&] { return !serving_; });
}

void AbstractServer::begin_stop() noexcept {
  request_stop();
  end_idle();
}

void AbstractServer::shutdown() {
  begin_stop();
  if (!called_from_within()) wait_for_serving_thread(time_point::max());
}

void AbstractServer::expect_drain(duration limit) noexcept {
  drain_limit_ = limit;
  drain_expected_ = true;
}

void AbstractServer::hurry_drain() noexcept {
  drain_hurried_ = true;
  stop_waiting_for_requests();
  wake();
}

DrainResult AbstractServer::drain(duration limit) {
  const time_point deadline = deadline_after(limit);
  begin_drain();
  if (called_from_within()) return {};

  if (wait_for_serving_thread(deadline)) take_unserved_backlog(deadline);
  if (wait_until_done(deadline)) return {};

  DrainResult result;
  result.aborted = end_drain();
  if (wait_until_done(deadline_after(force_grace))) return result;
  abort_requests(true);
  // What is left may also be a hook that keeps the serving thread, without any request.
  if (!wait_until_done(deadline_after(force_grace))) result.remaining = std::max<std::size_t>(1, requests_running());
  return result;
}

void AbstractServer::begin_drain() {
  {
    const std::scoped_lock lock(mutex_);
    taking_backlog_ = !backlog_taken_ && is_listening();
  }
  begin_stop();
}

std::size_t AbstractServer::end_drain() noexcept {
  taking_backlog_ = false;
  wake();
  return abort_requests(false);
}

/// Waits for the serving thread, closes the socket, and waits for the requests; false if the deadline came first.
bool AbstractServer::wait_until_done(time_point deadline) {
  if (!wait_for_serving_thread(deadline)) return false;
  close_listener();
  return wait_for_requests(deadline);
}

/// Now, or when the thread that serves has ended.
void AbstractServer::close_listener() noexcept {
  const std::scoped_lock lock(mutex_);
  close_after_serving_ = true;
  if (!serving_) end_backlog();
}

void AbstractServer::server_close() {
  begin_stop();
  if (!called_from_within()) wait_for_serving_thread(time_point::max());
  close_listener();
}

std::size_t AbstractServer::abort_requests(bool last_resort) noexcept {
  const std::size_t aborted = live_requests_.shut_all_down();
  if (!last_resort) detail::count(counters_->aborted_drain, aborted);
  return aborted + runner().abort(last_resort);
}

ServerState AbstractServer::state() const {
  {
    const std::scoped_lock lock(mutex_);
    if (!stop_requested_) return serving_type_ ? ServerState::serving : ServerState::created;
    if (serving_ || taking_backlog_) return ServerState::draining;
  }
  return requests_running() > 0 ? ServerState::draining : ServerState::stopped;
}

void AbstractServer::stop_with(std::exception_ptr error) noexcept {
  fatal_error_ = std::move(error);
  request_stop();
}

void AbstractServer::begin_destruction(const std::type_info& destructor_of, std::size_t requests_using_this) noexcept {
  const std::type_info* const serving = serving_type_;
  bool running = requests_using_this > 0;
  {
    const std::scoped_lock lock(mutex_);
    running = running || serving_;
  }
  if (running && serving && *serving != destructor_of) {
    log(LogLevel::error, [&] {
      return "a " + boost::core::demangle(serving->name()) +
             " is destroyed while it serves, so its handlers use members that are gone. Call server_close() in its "
             "destructor (and leave block_on_close true and daemon_threads false), or drain() before";
    });
    std::terminate();
  }
  server_close();
}

}  // namespace sockserv
