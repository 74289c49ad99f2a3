/// What a server is made of, what it counts, and whom it tells of errors.

#include <sockserv/server/abstract.hpp>

#include <sys/eventfd.h>

#include <sockserv/error.hpp>
#include <string>

#include "../detail/standard_error.hpp"
#include "inline_runner.hpp"

namespace sockserv {

AbstractServer::AbstractServer(ServerOptions options)
    : options_(std::move(options)), wake_(make_wake()), runner_(&detail::inline_runner()) {
  if (!wake_) detail::throw_error(detail::last_system_error(), "eventfd");
  detail::prepare_log();
  detail::validate(options_);
}

AbstractServer::~AbstractServer() = default;

detail::Descriptor AbstractServer::make_wake() noexcept {
  detail::fill_standard_descriptors();
  return detail::Descriptor(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
}

ServerStats AbstractServer::stats() const {
  ServerStats stats = detail::stats_of(*counters_);
  const detail::LiveRequests::Bytes bytes = live_requests_.bytes(*counters_);
  stats.bytes_in = bytes.in;
  stats.bytes_out = bytes.out;
  stats.active = requests_running();
  return stats;
}

void AbstractServer::handle_error(const Address& client_address, std::exception_ptr error) {
  const std::string peer = client_address.to_string();
  if (is_peer_gone(error)) return log(LogLevel::info, peer + " has gone: " + detail::describe(error));
  if (is_limit(error)) return log(LogLevel::info, peer + ": connection aborted: " + detail::describe(error));
  if (is_authentication_failure(error)) {
    return log(LogLevel::info, peer + " was rejected: " + detail::describe(error));
  }
  const std::string dashes(40, '-');
  log(LogLevel::error, dashes + "\nError while serving " + peer + "\n" + detail::describe(error) + "\n" + dashes);
}

void AbstractServer::report_error(const Address& client_address, const std::exception_ptr& error) noexcept {
  if (is_peer_gone(error)) {
    detail::count(counters_->peers_gone);
  } else if (is_authentication_failure(error)) {
    detail::count(counters_->authentication_failures);
  } else if (!is_limit(error)) {  // counted already, where the connection was aborted
    detail::count(counters_->handler_errors);
  }
  if (const auto another = detail::error_of([&] { handle_error(client_address, error); })) {
    log(LogLevel::error, [&] {
      return "handle_error itself failed: " + detail::describe(another) + "; it was given " + detail::describe(error);
    });
  }
}

void AbstractServer::accept_succeeded() noexcept {
  detail::count(counters_->accepted);
  accept_pause_.succeeded();
}

bool AbstractServer::accept_failed(const std::exception_ptr& error) noexcept {
  using Verdict = detail::AcceptPause::Verdict;
  detail::count(counters_->accept_errors);
  const Verdict verdict = accept_pause_.failed(error);
  if (verdict == Verdict::stop) {
    stop_with(error);
  } else if (accept_pause_.worth_logging(error)) {
    log(LogLevel::warning, [&] {
      return "cannot accept: " + detail::describe(error) + (verdict == Verdict::pause ? "; accepting pauses" : "");
    });
  }
  return verdict != Verdict::stop;
}

std::optional<detail::Admission> AbstractServer::admit(const Address& client_address, bool is_connection) {
  const std::size_t limit = options_.max_connections_per_address;
  if (limit == 0 || !is_connection || !client_address.is_ip()) return detail::Admission(*counters_);
  auto* const entry = connections_by_address_.enter(client_address, limit);
  if (!entry) return std::nullopt;
  return detail::Admission(*counters_, connections_by_address_, *entry);
}

void AbstractServer::count_rejected(Rejection reason, const Address& client_address) noexcept {
  switch (reason) {
    case Rejection::full:
      return detail::count(counters_->rejected_full);
    case Rejection::unverified:
      return detail::count(counters_->rejected_unverified);
    case Rejection::per_address:
      detail::count(counters_->rejected_per_address);
      if (may_log_rejection_()) {
        log(LogLevel::info, [&] {
          return client_address.to_string() + " is rejected: its address has " +
                 std::to_string(options_.max_connections_per_address) + " connections already";
        });
      }
  }
}

void AbstractServer::log(LogLevel level, std::string_view message) const noexcept {
  try {
    options_.log(level, message);
  } catch (...) {  // there is nowhere left to say so
  }
}

}  // namespace sockserv
