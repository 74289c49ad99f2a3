#include <sockserv/server/abstract.hpp>

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <boost/core/demangle.hpp>
#include <cerrno>
#include <limits>
#include <new>
#include <sockserv/detail/child_processes.hpp>
#include <sockserv/detail/deadline.hpp>
#include <sockserv/detail/fork.hpp>
#include <sockserv/detail/request_scope.hpp>
#include <sockserv/error.hpp>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>

namespace sockserv {
namespace {

using detail::deadline_after;
using std::chrono::milliseconds;

/// How many requests the loop takes before it looks at anything else.
constexpr int requests_at_a_time = 64;

/// How long a request that was cut off may take to end.
constexpr AbstractServer::duration force_grace = std::chrono::seconds(2);

int poll_timeout(const std::optional<AbstractServer::time_point>& deadline) noexcept {
  if (!deadline) return -1;
  const auto left = std::chrono::ceil<milliseconds>(*deadline - std::chrono::steady_clock::now()).count();
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, std::numeric_limits<int>::max()));
}

int make_wake() noexcept { return ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }

/// A worker process has one server, to which SIGTERM means what it means to its parent.
void stop_on_sigterm(AbstractServer& server) noexcept {
  static AbstractServer* stopped = nullptr;
  stopped = &server;
  struct sigaction action {};
  action.sa_flags = SA_RESTART;
  action.sa_handler = [](int) { stopped->request_stop(); };
  ::sigaction(SIGTERM, &action, nullptr);
}

}  // namespace

AbstractServer::AbstractServer(ServerOptions options) : options_(std::move(options)), wake_(make_wake()) {
  detail::validate(options_);
  if (!wake_) detail::throw_error(detail::last_system_error(), "eventfd");
}

AbstractServer::~AbstractServer() = default;

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
  if (poll_interval <= duration::zero()) throw std::invalid_argument("serve_forever: poll_interval must be positive");
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
      const bool for_requests = may_accept_now() && !accept_elsewhere();
      if (wait(deadline_after(poll_interval), for_requests).request) {
        handle_waiting_requests();
      } else {
        service_actions();
      }
    }
  }
  live_requests_.end_idle();
  take_backlog();
  throw_fatal_error();
}

/// Goes on while there are requests, so that a busy server does not ask before each whether there is one.
void AbstractServer::handle_waiting_requests() {
  for (int left = requests_at_a_time; left > 0; --left) {
    const bool more = handle_request_noblock();
    service_actions();
    if (!more || stop_requested_ || !may_accept_now()) return;
  }
}

void AbstractServer::handle_request() {
  if (!take_serving_role("handle_request")) return;
  const ServingRole role(*this);
  const auto deadline = timeout ? std::optional(deadline_after(*timeout)) : std::nullopt;
  while (!stop_requested_) {
    const Ready ready = wait(deadline, may_accept_now());
    if (ready.request) {
      handle_request_noblock();
      break;
    }
    if (ready.anything) service_actions();
    if (deadline && std::chrono::steady_clock::now() >= *deadline) {
      handle_timeout();
      break;
    }
  }
  throw_fatal_error();
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
  for (int left = backlog_limit(); left > 0 && taking_backlog_;) {
    if (!may_accept_now()) {
      look_around();
    } else if (handle_request_noblock()) {
      --left;
    } else {
      break;
    }
  }
}

bool AbstractServer::is_anyone_waiting() const noexcept {
  pollfd listener{fileno(), POLLIN, 0};
  return ::poll(&listener, 1, 0) > 0;
}

void AbstractServer::look_around(std::optional<duration> limit) {
  wait(limit ? std::optional(deadline_after(*limit)) : std::nullopt, false);
  service_actions();
}

/// Waits for the mixin's descriptor, or to be woken, or for the end of a pause in accepting, and if asked for a
/// request.
AbstractServer::Ready AbstractServer::wait(std::optional<time_point> deadline, bool for_requests) {
  pollfd watched[3] = {{wake_.get(), POLLIN, 0}, {service_descriptor(), POLLIN, 0}, {-1, POLLIN, 0}};
  if (const auto interval = service_interval()) {
    const time_point next = deadline_after(*interval);
    deadline = std::min(deadline.value_or(next), next);
  }
  if (for_requests) {
    if (requests_at_hand()) return {.request = !stop_requested_, .anything = true};
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

void AbstractServer::request_stop() noexcept {
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
  live_requests_.end_idle();
}

void AbstractServer::shutdown() {
  begin_stop();
  if (!called_from_within()) wait_for_serving_thread(time_point::max());
}

DrainResult AbstractServer::drain(duration limit) {
  const time_point deadline = deadline_after(limit);
  begin_drain();
  if (called_from_within()) return {};

  if (wait_for_serving_thread(deadline)) take_backlog_elsewhere();
  if (wait_until_done(deadline)) return {};

  DrainResult result;
  result.forced = cut_off();
  if (wait_until_done(deadline_after(force_grace))) return result;
  force_requests(true);
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

std::size_t AbstractServer::cut_off() noexcept {
  taking_backlog_ = false;
  wake();
  return force_requests(false);
}

/// Waits for the serving thread, closes the socket, and waits for the requests; false if the deadline came first.
bool AbstractServer::wait_until_done(time_point deadline) {
  if (!wait_for_serving_thread(deadline)) return false;
  close_listener();
  return wait_for_requests(deadline);
}

/// Where nobody serves, a thread takes the backlog while the caller watches the deadline. It is not joined: it may
/// still be in a handler when the caller gives up. Destruction waits for it as for every serving thread.
void AbstractServer::take_backlog_elsewhere() {
  {
    const std::scoped_lock lock(mutex_);
    if (serving_ || !taking_backlog_ || !is_listening()) return;
    serving_type_ = &typeid(*this);
    serving_ = true;
  }
  try {
    std::thread([this] {
      const ServingRole role(*this);
      const auto error = detail::error_of([this] {
        check_settings();
        take_backlog();
      });
      if (error) {
        log(LogLevel::error, "the backlog was not taken whole: " + detail::describe(error));
      }
    }).detach();
  } catch (const std::system_error& failure) {
    log(LogLevel::error, std::string("the backlog was not taken, for want of a thread: ") + failure.what());
    give_up_serving_role();
  }
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

std::size_t AbstractServer::force_requests(bool last_resort) noexcept {
  const std::size_t forced = live_requests_.shut_all_down();
  if (!last_resort) detail::count(counters_->cut_off_drain, forced);
  return forced;
}

ServerState AbstractServer::state() const {
  {
    const std::scoped_lock lock(mutex_);
    if (!stop_requested_) return serving_type_ ? ServerState::serving : ServerState::created;
    if (serving_ || taking_backlog_) return ServerState::draining;
  }
  return requests_running() > 0 ? ServerState::draining : ServerState::stopped;
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
  if (is_limit(error)) return log(LogLevel::info, peer + " was cut off: " + detail::describe(error));
  if (is_authentication_failure(error)) {
    return log(LogLevel::info, peer + " is turned away: " + detail::describe(error));
  }
  const std::string dashes(40, '-');
  log(LogLevel::error, dashes + "\nError while serving " + peer + "\n" + detail::describe(error) + "\n" + dashes);
}

void AbstractServer::report_error(const Address& client_address, const std::exception_ptr& error) noexcept {
  if (is_peer_gone(error)) {
    detail::count(counters_->peers_gone);
  } else if (is_authentication_failure(error)) {
    detail::count(counters_->authentication_failures);
  } else if (!is_limit(error)) {  // counted already, where the connection was cut off
    detail::count(counters_->handler_errors);
  }
  if (const auto another = detail::error_of([&] { handle_error(client_address, error); })) {
    log(LogLevel::error,
        "handle_error itself failed: " + detail::describe(another) + "; it was given " + detail::describe(error));
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
    log(LogLevel::warning,
        "cannot accept: " + detail::describe(error) + (verdict == Verdict::pause ? "; accepting pauses" : ""));
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
        log(LogLevel::info, client_address.to_string() + " is rejected: its address has " +
                                std::to_string(options_.max_connections_per_address) + " connections already");
      }
  }
}

void AbstractServer::stop_with(std::exception_ptr error) noexcept {
  fatal_error_ = std::move(error);
  request_stop();
}

void AbstractServer::log(LogLevel level, std::string_view message) const noexcept {
  try {
    options_.log(level, message);
  } catch (...) {  // there is nowhere left to say so
  }
}

void AbstractServer::begin_destruction(const std::type_info& destructor_of, std::size_t requests_using_this) noexcept {
  const std::type_info* const serving = serving_type_;
  bool running = requests_using_this > 0;
  {
    const std::scoped_lock lock(mutex_);
    running = running || serving_;
  }
  if (running && serving && *serving != destructor_of) {
    const std::string name = boost::core::demangle(serving->name());
    log(LogLevel::error, "a " + name + " is destroyed while it serves, so its handlers use members that are gone. " +
                             "Call server_close() in its destructor (and leave block_on_close true and " +
                             "daemon_threads false), or drain() before");
    std::terminate();
  }
  server_close();
}

pid_t AbstractServer::fork_process() {
  const std::scoped_lock lock(connections_by_address_.mutex());  // together with those below
  return detail::fork_holding(mutex_, live_requests_.mutex(), [this] { become_child(); });
}

void AbstractServer::become_child() noexcept { wake_.reset(); }

pid_t AbstractServer::fork_worker() {
  const std::scoped_lock lock(connections_by_address_.mutex());  // together with those below
  return detail::fork_holding(mutex_, live_requests_.mutex(), [this] { become_worker(); });
}

void AbstractServer::become_worker() noexcept {
  wake_.reset();
  wake_.reset(make_wake());
  if (!wake_) detail::exit_child(1);  // nobody could stop it; its parent will start another one
  stop_requested_ = false;
  taking_backlog_ = false;
  drain_expected_ = false;
  serving_ = false;
  backlog_taken_ = false;
  close_after_serving_ = false;
  new (&serving_ended_) std::condition_variable();  // the old one counts threads that wait in the parent
  live_requests_.forget();
  connections_by_address_.forget();
  detail::RequestScope::current() = nullptr;
  stop_on_sigterm(*this);
}

void AbstractServer::serve_as_worker() {
  serve_forever(poll_interval_);
  wait_until_done(time_point::max());
}

}  // namespace sockserv
