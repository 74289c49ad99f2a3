/// The runner of a server, and the account of its requests.

#include <algorithm>
#include <sockserv/detail/request_scope.hpp>

#include "core.hpp"
#include "inline_runner.hpp"

namespace sockserv::inline abi_0 {

void AbstractServer::Core::use_runner(MakeRunner make) {
  make_runner_ = std::move(make);
  own_runner_ = make_runner_();
  runner_ = own_runner_.get();
}

void AbstractServer::Core::end_runner() noexcept {
  own_runner_.reset();  // what still runs uses both pointers
  runner_ = &detail::inline_runner();
  counters_ = &own_counters_;  // they may have been the runner's
}

/// The registry and the runner count mostly the same requests. The registry alone has those that are being accepted,
/// the runner alone those whose connection was closed and whose handler still runs.
std::size_t AbstractServer::Core::requests_here() const { return std::max(live_requests_.size(), runner().running()); }

std::size_t AbstractServer::Core::requests_running() const {
  const detail::Processes* const processes = runner().processes();
  return processes ? processes->requests(requests_here()) : requests_here();
}

bool AbstractServer::Core::wait_for_requests(time_point deadline) {
  detail::Processes* const processes = runner().processes();
  return live_requests_.wait_until_none(deadline) && runner().wait_until_idle(deadline) &&
         (!processes || processes->wait_until_none(deadline));
}

std::size_t AbstractServer::Core::abort_requests(bool last_resort) noexcept {
  const std::size_t aborted = live_requests_.shut_all_down();
  if (!last_resort) detail::count(counters_->aborted_drain, aborted);
  return aborted + runner().abort(last_resort);
}

void AbstractServer::Core::end_idle() noexcept {
  live_requests_.end_idle();
  if (detail::Processes* const processes = runner().processes()) processes->stop();
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
