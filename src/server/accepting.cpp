/// When a server accepts, whom it waits for then, and the account of what it accepts.

#include <sys/resource.h>

#include <algorithm>
#include <sockserv/connection.hpp>
#include <sockserv/detail/request_scope.hpp>
#include <sockserv/error.hpp>

#include "core.hpp"

namespace sockserv::inline abi_0 {

bool AbstractServer::Core::has_room() const {
  if (max_connections_ > 0) {
    if (!live_requests_.has_room(max_connections_)) return false;
    // The runner knows of its children, but not of clients that have none yet.
    if (awaited_.size() > 0 && requests_running() >= max_connections_) return false;
  }
  return runner().has_room() && !is_worn_out();
}

bool AbstractServer::Core::is_worn_out() const noexcept {
  return max_requests_ > 0 && counters_->accepted - accepted_before_ >= max_requests_;
}

/// Any thread that accepts may ask. Where the answer is false because of a limit, `wake()` is called when there is
/// room.
bool AbstractServer::Core::may_accept() { return has_room() && !accept_pause_.end() && awaited_.may_accept(); }

bool AbstractServer::Core::accept() {
  const detail::RequestScope scope(server_);
  return server_.handle_request_noblock();
}

void AbstractServer::Core::accept_succeeded() noexcept {
  detail::count(counters_->accepted);
  accept_pause_.succeeded();
  // Now, because the request may run in this thread.
  if (is_worn_out()) begin_stop(detail::EndIdle::after_grace);
}

bool AbstractServer::Core::accept_failed(const std::exception_ptr& error) noexcept {
  using Verdict = detail::AcceptPause::Verdict;
  detail::count(counters_->accept_errors);
  const Verdict verdict = accept_pause_.failed(error);
  if (verdict == Verdict::stop) {
    stop_with(error);
  } else if (accept_pause_.worth_logging(error)) {
    server_.log(LogLevel::warning, [&] {
      return "cannot accept: " + detail::describe(error) + (verdict == Verdict::pause ? "; accepting pauses" : "");
    });
  }
  return verdict != Verdict::stop;
}

std::optional<detail::Admission> AbstractServer::Core::admit(const Address& client_address, bool is_connection) {
  const std::size_t limit = server_.options().max_connections_per_address;
  if (limit == 0 || !is_connection || !client_address.is_ip()) return detail::Admission(*counters_);
  auto* const entry = connections_by_address_.enter(client_address, limit);
  if (!entry) return std::nullopt;
  return detail::Admission(*counters_, connections_by_address_, *entry);
}

/// Where waiting costs the others something. Not for `handle_request()`: nobody might come back to look at them.
void AbstractServer::Core::begin_awaiting_clients() noexcept {
  using Cost = detail::Runner::CostOfWaiting;
  const Cost cost = runner().cost_of_waiting();
  if (cost == Cost::nothing) return;
  std::size_t limit = max_connections_;
  if (rlimit descriptors{}; limit == 0 && ::getrlimit(RLIMIT_NOFILE, &descriptors) == 0) limit = descriptors.rlim_cur;
  awaited_.open(limit / 2, cost == Cost::everything);
}

bool AbstractServer::Core::await_client(Connection& request, const Address& client_address) noexcept {
  return awaited_.add(request, client_address);
}

/// Returns when something may be accepted although nothing comes, if it is only because of awaited clients that nothing
/// is.
AbstractServer::time_point AbstractServer::Core::accepts_again_at() const {
  if (awaited_.size() == 0 || !has_room() || accept_pause_.end()) return time_point::max();
  return awaited_.opens_at();
}

void AbstractServer::Core::serve_awaited_clients() {
  if (awaited_.size() == 0) return;
  awaited_.look();
  while (awaited_.has_late()) {
    detail::AwaitedClient client = awaited_.take_late();
    if (awaited_.is_open()) {
      serve_awaited(client, detail::error_of([&] { client.fail(); }));
    } else {
      server_.end_awaited(client.connection());
    }
  }
  // An abort makes each readable.
  while (awaited_.has_ready() && !live_requests_.are_aborted() && runner().has_room()) serve_ready_client();
}

void AbstractServer::Core::serve_ready_client() {
  detail::AwaitedClient client = awaited_.take_ready();
  serve_awaited(client, detail::error_of([&] { client.check(); }));
  service();
}

void AbstractServer::Core::serve_awaited(detail::AwaitedClient& client, const std::exception_ptr& error) {
  server_.serve_awaited(client.connection(), client.client_address(), error);
}

/// When the server stops, new clients have a little time yet, unless it stops at once. Those that have sent enough are
/// served in any case.
void AbstractServer::Core::finish_awaiting_clients() {
  awaited_.close();
  awaited_.shorten(server_.options().first_request_grace);
  const auto is_in_time = [this] {
    return !live_requests_.are_aborted() && !drain_hurried_ && detail::now() < backlog_deadline_;
  };
  while (awaited_.size() > 0 && !live_requests_.ends_new() && is_in_time()) poll_once();
  awaited_.look();
  while (awaited_.has_ready() && is_in_time()) serve_ready_client();
  end_awaited_clients();
}

void AbstractServer::Core::end_awaited_clients() noexcept {
  awaited_.close();
  while (awaited_.has_ready()) server_.end_awaited(awaited_.take_ready().connection());
  while (awaited_.has_late()) server_.end_awaited(awaited_.take_late().connection());
  while (awaited_.has_waiting()) server_.end_awaited(awaited_.take_waiting().connection());
}

}  // namespace sockserv::inline abi_0
