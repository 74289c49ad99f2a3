/// What a server shows of its core, and how it reports errors.

#include <sockserv/server/abstract.hpp>

#include <sys/eventfd.h>

#include <sockserv/detail/settings.hpp>
#include <sockserv/detail/text.hpp>
#include <sockserv/error.hpp>
#include <stdexcept>
#include <string>

#include "../base/standard_error.hpp"
#include "core.hpp"
#include "inline_runner.hpp"

namespace sockserv::inline abi_0 {

AbstractServer::Core::Core(AbstractServer& server, MakeRunner make_runner)
    : server_(server), wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)), runner_(&detail::inline_runner()) {
  if (!wake_) detail::throw_error(detail::last_system_error(), "eventfd");  // nobody could stop the server
  live_requests_.set_grace(server.options().first_request_grace);
  if (make_runner) use_runner(std::move(make_runner));
}

AbstractServer::AbstractServer(ServerOptions options) : options_(std::move(options)) {
  detail::fill_standard_descriptors();
  core_ = std::make_unique<Core>(*this, MakeRunner());
  detail::prepare_log();
  detail::validate(options_);
}

AbstractServer::~AbstractServer() = default;

void AbstractServer::serve_forever(duration poll_interval) { core_->serve_forever(poll_interval); }
void AbstractServer::handle_request() { core_->handle_request(); }
void AbstractServer::wake() noexcept { core_->wake(); }
void AbstractServer::call_when_ready(std::function<void()> action) { core_->call_when_ready(std::move(action)); }
bool AbstractServer::takes_requests_ahead() const noexcept { return core_->takes_requests_ahead(); }

void AbstractServer::request_stop() noexcept { core_->request_stop(); }
bool AbstractServer::stop_requested() const noexcept { return core_->stop_requested(); }
void AbstractServer::shutdown() { core_->shutdown(); }
void AbstractServer::expect_drain(duration limit) noexcept { core_->expect_drain(limit); }
DrainResult AbstractServer::drain(duration limit) { return core_->drain(limit); }
void AbstractServer::hurry_drain() noexcept { core_->hurry_drain(); }
void AbstractServer::kill_requests() noexcept { core_->abort_requests(true); }
void AbstractServer::server_close() {
  core_->server_close();
  if (!core_->make_runner()) wait_for_runner();  // a mixin does that itself, unless its knobs say otherwise
}
ServerState AbstractServer::state() const { return core_->state(); }
bool AbstractServer::called_from_within() const noexcept { return core_->called_from_within(); }

void AbstractServer::use_runner(MakeRunner make) { core_->use_runner(std::move(make)); }
void AbstractServer::end_runner() noexcept { core_->end_runner(); }
const AbstractServer::MakeRunner& AbstractServer::make_runner() const noexcept { return core_->make_runner(); }
detail::Runner& AbstractServer::runner() const noexcept { return core_->runner(); }
std::size_t AbstractServer::requests_running() const { return core_->requests_running(); }
detail::LiveRequests& AbstractServer::live_requests() noexcept { return core_->live_requests(); }

ServerStats AbstractServer::stats() const { return core_->stats(); }
void AbstractServer::count_in(detail::Counters& counters) noexcept { core_->count_in(counters); }
detail::Counters& AbstractServer::counters() noexcept { return core_->counters(); }

bool AbstractServer::accept_failed(const std::exception_ptr& error) noexcept { return core_->accept_failed(error); }
void AbstractServer::accept_succeeded() noexcept { core_->accept_succeeded(); }
bool AbstractServer::awaits_clients() const noexcept { return core_->awaits_clients(); }
bool AbstractServer::await_client(Connection& request, const Address& client_address) noexcept {
  return core_->await_client(request, client_address);
}
std::optional<detail::Admission> AbstractServer::admit(const Address& client_address, bool is_connection) {
  return core_->admit(client_address, is_connection);
}

std::set<pid_t> AbstractServer::process_ids() const {
  const detail::Processes* const processes = runner().processes();
  return processes ? processes->ids() : std::set<pid_t>();
}

void AbstractServer::expect_stop(int descriptor) {
  if (detail::Processes* const processes = runner().processes()) processes->expect_stop(descriptor);
}

void AbstractServer::end_connection(Connection& request) noexcept { core_->end_connection(request); }

void AbstractServer::wait_for_runner() {
  if (called_from_within()) return;
  runner().wait_until_idle(time_point::max());
  core_->finish_lingering();
}

void AbstractServer::wait_for_processes() {
  if (called_from_within()) return;
  if (detail::Processes* const processes = runner().processes()) processes->wait_until_none(time_point::max());
  core_->finish_lingering();
}

void AbstractServer::abort_and_wait() noexcept {
  live_requests().shut_all_down();
  core_->wait_for_requests(time_point::max());
}

void AbstractServer::set_concurrency(std::size_t count) {
  if (count == 1) return;
  throw std::invalid_argument("set_concurrency(" + std::to_string(count) +
                              "): a server without a mixin serves one request at a time");
}

void AbstractServer::check_settings() const {
  if (timeout) detail::require_not_negative("timeout", *timeout);
}

void AbstractServer::begin_destruction(const std::type_info& destructor_of) noexcept {
  const Lifecycle& lifecycle = core_->lifecycle();
  const std::type_info* const served_as = lifecycle.served_as();
  const bool runs = core_->handlers_here() > 0 || lifecycle.is_serving();
  if (runs && served_as && *served_as != destructor_of) {
    log(LogLevel::error, [&] {
      return "a " + detail::type_name(*served_as) +
             " is destroyed while it serves, so its handlers use members that are gone. Call server_close() in its "
             "destructor (and leave block_on_close true and daemon_threads false), or drain() before";
    });
    std::terminate();
  }
  server_close();
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
    detail::count(counters().peers_gone);
  } else if (is_authentication_failure(error)) {
    detail::count(counters().authentication_failures);
  } else if (!is_limit(error)) {  // counted already, where the connection was aborted
    detail::count(counters().handler_errors);
  }
  if (const auto another = detail::error_of([&] { handle_error(client_address, error); })) {
    log(LogLevel::error, [&] {
      return "handle_error itself failed: " + detail::describe(another) + "; it was given " + detail::describe(error);
    });
  }
}

void AbstractServer::count_rejected(Rejection reason, const Address& client_address) noexcept {
  switch (reason) {
    case Rejection::full:
      return detail::count(counters().rejected_full);
    case Rejection::unverified:
      return detail::count(counters().rejected_unverified);
    case Rejection::per_address:
      detail::count(counters().rejected_per_address);
      if (core_->may_log_rejection()) {
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

}  // namespace sockserv::inline abi_0
