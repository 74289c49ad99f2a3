/// When a server accepts, whom it waits for then, and the account of what it accepts.

#include <sys/resource.h>

#include <algorithm>
#include <sockserv/connection.hpp>
#include <sockserv/detail/request_scope.hpp>
#include <sockserv/error.hpp>

#include "core.hpp"

namespace sockserv::inline abi_0 {

bool AbstractServer::Core::has_room() const {
  return (max_connections_ == 0 || live_requests_.has_room(max_connections_)) && runner().has_room() && !is_worn_out();
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

/// Where waiting takes something from others. `handle_request()` does not await clients: nobody might come back to
/// them.
void AbstractServer::Core::begin_awaiting_clients() noexcept {
  using Waiting = detail::Runner::Waiting;
  const Waiting waiting = runner().waiting();
  if (waiting == Waiting::takes_nothing) return;
  std::size_t limit = max_connections_;
  if (rlimit descriptors{}; limit == 0 && ::getrlimit(RLIMIT_NOFILE, &descriptors) == 0) limit = descriptors.rlim_cur;
  awaited_.open(limit / 2, waiting == Waiting::takes_all);
}

bool AbstractServer::Core::await_client(Connection& request, const Address& client_address) noexcept {
  return awaited_.add(request, client_address);
}

void AbstractServer::Core::serve_awaited_clients() {
  if (awaited_.size() == 0) return;
  awaited_.look();
  while (auto next = awaited_.next(runner().has_room())) {
    detail::AwaitedClient& client = next->client;
    server_.client_was_awaited(client.connection(), client.client_address(), next->is_late ? client.error() : nullptr);
  }
}

/// When the server stops, new clients have a little time yet, unless it stops at once.
void AbstractServer::Core::finish_awaiting_clients() {
  awaited_.hurry(server_.options().first_request_grace);
  while (awaited_.size() > 0 && !live_requests_.ends_new() && !live_requests_.are_aborted()) poll_once();
  awaited_.close();
}

}  // namespace sockserv::inline abi_0
