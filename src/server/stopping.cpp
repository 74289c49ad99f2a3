/// The ways to stop, from asking to aborting.

#include <algorithm>
#include <sockserv/detail/deadline.hpp>
#include <sockserv/detail/request_scope.hpp>

#include "core.hpp"

namespace sockserv::inline abi_0 {
namespace {

using detail::deadline_after;

/// How long a request that was aborted may take to end.
constexpr AbstractServer::duration abort_grace = std::chrono::seconds(2);

}  // namespace

bool AbstractServer::Core::called_from_within() const noexcept { return detail::RequestScope::inside(server_); }

void AbstractServer::Core::request_stop() noexcept {
  const bool is_first = lifecycle_.request_stop();
  wake();
  if (is_first && role_) role_->finish();
}

bool AbstractServer::Core::stop_requested() const noexcept {
  if (lifecycle_.stop_requested()) return true;
  const detail::Processes* const processes = runner().processes();
  return processes && processes->stop_requested();
}

void AbstractServer::Core::begin_stop(detail::EndIdle when) noexcept {
  request_stop();
  end_idle(when);
  wake();  // the serving thread may have heard the first without the second
}

void AbstractServer::Core::shutdown() {
  begin_stop(detail::EndIdle::at_once);
  if (!called_from_within()) lifecycle_.wait_for_serving_thread(time_point::max());
}

void AbstractServer::Core::server_close() {
  shutdown();
  lifecycle_.close_listener();
}

void AbstractServer::Core::hurry_drain() noexcept {
  drain_hurried_ = true;
  if (detail::Processes* const processes = runner().processes()) processes->stop_waiting();
  wake();
}

DrainResult AbstractServer::Core::drain(duration limit) {
  const time_point deadline = deadline_after(limit);
  begin_drain();
  if (called_from_within()) return {};

  if (lifecycle_.wait_for_serving_thread(deadline)) take_unserved_backlog(deadline);
  if (wait_until_done(deadline)) return {};

  DrainResult result;
  result.aborted = end_drain();
  if (wait_until_done(deadline_after(abort_grace))) return result;
  abort_requests(true);
  // What is left may also be a hook that keeps the serving thread, without any request.
  if (!wait_until_done(deadline_after(abort_grace))) result.remaining = std::max<std::size_t>(1, requests_running());
  return result;
}

/// The serving thread takes the backlog before it ends.
void AbstractServer::Core::begin_drain() {
  lifecycle_.want_backlog();
  begin_stop(detail::EndIdle::after_grace);
}

/// Leaves what is in the backlog, and aborts what runs. Returns how many requests that are.
std::size_t AbstractServer::Core::end_drain() noexcept {
  lifecycle_.leave_backlog();
  const std::size_t aborted = abort_requests(false);
  wake();
  return aborted;
}

/// Waits for the serving thread, closes the socket, and waits for the requests; false if the deadline came first.
bool AbstractServer::Core::wait_until_done(time_point deadline) {
  if (!lifecycle_.wait_for_serving_thread(deadline)) return false;
  lifecycle_.close_listener();
  return wait_for_requests(deadline);
}

ServerState AbstractServer::Core::state() const {
  return lifecycle_.state([this] { return requests_running() > 0; });
}

}  // namespace sockserv::inline abi_0
