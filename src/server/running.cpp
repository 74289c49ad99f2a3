/// The runner of a server, and the account of its requests.

#include <algorithm>
#include <sockserv/detail/clock.hpp>
#include <sockserv/detail/request_scope.hpp>
#include <sockserv/error.hpp>
#include <utility>

#include "core.hpp"
#include "inline_runner.hpp"

namespace sockserv::inline abi_0 {
namespace {

/// How often to serve lingering connections after the serving loop has ended: while there are some, and while there are
/// none.
constexpr std::chrono::milliseconds linger_interval(10);
constexpr std::chrono::milliseconds no_linger_interval(100);

}  // namespace

void AbstractServer::Core::use_runner(MakeRunner make) {
  make_runner_ = std::move(make);
  own_runner_ = make_runner_();
  runner_ = own_runner_.get();
}

void AbstractServer::Core::end_runner() noexcept {
  linger_.close();      // what lingers may count in the runner's memory
  own_runner_.reset();  // what still runs uses both pointers
  runner_ = &detail::inline_runner();
  linger_.close();             // those of the last tasks
  counters_ = &own_counters_;  // they may have been the runner's
}

/// The registry and the runner count mostly the same requests. The registry alone has those that are being accepted,
/// the runner alone those whose connection was closed and whose handler still runs.
std::size_t AbstractServer::Core::requests_here() const { return std::max(live_requests_.size(), runner().running()); }

std::size_t AbstractServer::Core::requests_running() const {
  const detail::Processes* const processes = runner().processes();
  const std::size_t here = requests_here();
  if (!processes) return here;
  const std::size_t awaited = std::min(here, awaited_.size());  // of which no process knows
  return processes->requests(here - awaited) + awaited;
}

std::size_t AbstractServer::Core::handlers_here() const {
  const std::size_t requests = live_requests_.size();
  const std::size_t without = linger_.size() + awaited_.size();
  return std::max(requests - std::min(requests, without), runner().running());
}

/// Serves lingering connections too, because the serving loop has ended.
bool AbstractServer::Core::wait_for_connections(time_point deadline) {
  for (;;) {
    linger_.serve();
    const auto next_look = detail::now() + (linger_.size() > 0 ? linger_interval : no_linger_interval);
    if (live_requests_.wait_until_none(std::min(deadline, next_look))) return true;
    if (detail::now() >= deadline || drain_hurried_) return false;
  }
}

bool AbstractServer::Core::wait_for_requests(time_point deadline) {
  detail::Processes* const processes = runner().processes();
  return wait_for_connections(deadline) && runner().wait_until_idle(deadline) &&
         (!processes || processes->wait_until_none(deadline));
}

void AbstractServer::Core::end_connection(Connection& request) noexcept {
  const ServerOptions& options = server_.options();
  if (!detail::Lingering::begins_with(request) || !options.linger_timeout) return;
  if (is_child_) {
    detail::Lingering(std::move(request), options, detail::now()).finish();
  } else if (const auto error = detail::error_of([&] { linger_.add(request, options); })) {
    server_.log(LogLevel::error, [&] { return "a connection is closed at once: " + detail::describe(error); });
  }
}

std::size_t AbstractServer::Core::abort_requests(bool last_resort) noexcept {
  const std::size_t aborted = live_requests_.shut_all_down();
  if (!last_resort) detail::count(counters_->aborted_drain, aborted);
  return aborted + runner().abort(last_resort);
}

void AbstractServer::Core::end_idle(detail::EndIdle when) noexcept {
  live_requests_.end_idle(when);
  if (detail::Processes* const processes = runner().processes()) processes->stop(when);
}

ServerStats AbstractServer::Core::stats() const {
  ServerStats stats = detail::stats_of(*counters_);
  const detail::LiveRequests::Bytes bytes = live_requests_.bytes(*counters_);
  stats.bytes_in = bytes.in;
  stats.bytes_out = bytes.out;
  if (role_) role_->add_siblings(stats);
  if (const detail::Processes* const processes = runner().processes()) processes->add_to(stats);
  stats.active = requests_running();
  return stats;
}

}  // namespace sockserv::inline abi_0
