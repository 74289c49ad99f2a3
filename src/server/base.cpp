#include <sockserv/server/base.hpp>

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
#include <string>
#include <system_error>

namespace sockserv {
namespace {

using std::chrono::milliseconds;

constexpr AbstractServer::duration shortest_back_off = milliseconds(10);
constexpr AbstractServer::duration longest_back_off = std::chrono::seconds(1);
/// How long a request that was cut off may take to end.
constexpr AbstractServer::duration force_grace = std::chrono::seconds(2);

/// A connection that failed before it was accepted (accept(2), "Error handling"): the next one may be well.
bool concerns_one_connection(int error) noexcept {
  switch (error) {
    case ECONNABORTED:
    case EPROTO:
    case EPERM:
    case ENETDOWN:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case EOPNOTSUPP:
    case ENETUNREACH:
    case ECONNREFUSED:
    case ECONNRESET:
      return true;
    default:
      return false;
  }
}

/// A child inherits the handlers by which its parent learns that it is to stop; in the child they would tell nobody.
/// SIGTERM ends it. SIGINT comes from a terminal to parent and children at once: where the parent handles it, it is the
/// parent who decides what becomes of its children.
void let_signals_end_child() noexcept {
  ::signal(SIGTERM, SIG_DFL);
  struct sigaction interrupt {};
  if (::sigaction(SIGINT, nullptr, &interrupt) == 0 && interrupt.sa_handler != SIG_DFL) ::signal(SIGINT, SIG_IGN);
}

/// Adds without overflow: a limit of "for ever" may be duration::max().
AbstractServer::time_point after(AbstractServer::duration limit) noexcept {
  const auto now = std::chrono::steady_clock::now();
  return limit > AbstractServer::time_point::max() - now ? AbstractServer::time_point::max() : now + limit;
}

int poll_timeout(const std::optional<AbstractServer::time_point>& deadline) noexcept {
  if (!deadline) return -1;
  const auto left = std::chrono::ceil<milliseconds>(*deadline - std::chrono::steady_clock::now()).count();
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, std::numeric_limits<int>::max()));
}

}  // namespace

AbstractServer::AbstractServer(ServerOptions options)
    : options_(std::move(options)), wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  detail::validate(options_);
  if (!wake_) detail::throw_error(detail::last_system_error(), "eventfd");
}

AbstractServer::~AbstractServer() = default;

void AbstractServer::serve_forever(duration poll_interval) {
  if (stop_requested_) return;
  prepare("serve_forever");
  if (begin_loop(false)) run_loop(poll_interval);
}

void AbstractServer::handle_request() {
  if (stop_requested_) return;
  prepare("handle_request");
  serving_type_ = &typeid(*this);
  const auto deadline = timeout ? std::optional(after(*timeout)) : std::nullopt;
  while (!stop_requested_) {
    const Ready ready = wait(deadline);
    if (ready.request) {
      handle_request_noblock();
      return;
    }
    if (ready.anything) service_actions();
    if (deadline && std::chrono::steady_clock::now() >= *deadline) {
      handle_timeout();
      return;
    }
  }
}

void AbstractServer::prepare(const char* caller) const {
  if (fileno() < 0) {
    throw std::logic_error(std::string(caller) +
                           ": the server has no socket; it is closed, or was made with "
                           "bind_and_activate = false and server_bind() and server_activate() were not called");
  }
  check_settings();
}

/// Takes the role of the thread that serves; false if there is nothing to serve any more.
bool AbstractServer::begin_loop(bool only_backlog) {
  const std::scoped_lock lock(mutex_);
  if (loop_running_) {
    if (only_backlog) return false;
    throw std::logic_error("serve_forever: another thread serves already");
  }
  if (stop_requested_ && !only_backlog) return false;
  serving_type_ = &typeid(*this);
  serving_thread_ = std::this_thread::get_id();
  loop_running_ = true;
  return true;
}

void AbstractServer::end_loop() noexcept {
  const std::scoped_lock lock(mutex_);
  loop_running_ = false;
  serving_thread_ = {};
  if (close_when_loop_ends_) stop_listening();
  loop_ended_.notify_all();
}

/// Between begin_loop() and end_loop(), whatever is thrown.
void AbstractServer::run_loop(duration poll_interval) {
  struct End {
    AbstractServer& server;
    ~End() { server.end_loop(); }
  } const end{*this};

  while (!stop_requested_) {
    if (wait(after(poll_interval)).request) handle_request_noblock();
    service_actions();
  }
  take_backlog();
}

/// Serves what was waiting to be accepted when the server was told to drain. No more than the backlog can hold, so
/// that clients who keep coming do not keep the server from ending.
void AbstractServer::take_backlog() {
  const int most = std::min(options_.request_queue_size, SOMAXCONN) + 1;
  for (int taken = 0; taken < most && taking_backlog_;) {
    if (may_accept() && !backing_off()) {
      if (handle_request_noblock()) {
        ++taken;
      } else if (!backing_off()) {
        break;
      }
    } else {
      wait(std::nullopt);
      service_actions();
    }
  }
  if (taking_backlog_.exchange(false)) {
    const std::scoped_lock lock(mutex_);
    backlog_taken_ = true;
  }
}

/// Waits for a request that may be accepted, for the mixin's descriptor, or to be woken.
AbstractServer::Ready AbstractServer::wait(std::optional<time_point> deadline) {
  pollfd watched[3] = {{wake_.get(), POLLIN, 0}, {service_descriptor(), POLLIN, 0}, {-1, POLLIN, 0}};
  if (may_accept()) {
    if (backing_off()) {
      deadline = std::min(deadline.value_or(accept_again_), accept_again_);
    } else {
      watched[2].fd = fileno();
    }
  }
  if (::poll(watched, 3, poll_timeout(deadline)) <= 0) return {};  // nothing came, or a signal: the caller looks again
  if (watched[0].revents != 0) {
    std::uint64_t count = 0;
    [[maybe_unused]] const ssize_t result = ::read(wake_.get(), &count, sizeof count);
  }
  return {.request = watched[2].revents != 0 && !stop_requested_, .anything = true};
}

bool AbstractServer::backing_off() const noexcept {
  return back_off_ != duration::zero() && std::chrono::steady_clock::now() < accept_again_;
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

bool AbstractServer::called_from_within() const noexcept {
  if (detail::RequestScope::inside(*this)) return true;
  const std::scoped_lock lock(mutex_);
  return serving_thread_ == std::this_thread::get_id();
}

bool AbstractServer::wait_for_loop(time_point deadline) {
  std::unique_lock lock(mutex_);
  return loop_ended_.wait_until(lock, deadline, [&] { return !loop_running_; });
}

void AbstractServer::shutdown() {
  request_stop();
  if (called_from_within()) return;
  std::unique_lock lock(mutex_);
  loop_ended_.wait(lock, [&] { return !loop_running_; });
}

DrainResult AbstractServer::drain(duration limit) {
  const time_point deadline = after(limit);
  {
    const std::scoped_lock lock(mutex_);
    if (!backlog_taken_ && fileno() >= 0) taking_backlog_ = true;
  }
  request_stop();
  if (called_from_within()) return {};

  bool done = wait_for_loop(deadline);
  if (done && taking_backlog_) {
    take_backlog_elsewhere();
    done = wait_for_loop(deadline);
  }
  if (done) close_listener();
  if (done && wait_for_requests(deadline)) return {};

  DrainResult result;
  taking_backlog_ = false;
  wake();
  result.forced = force_requests(false);
  if (!wait_for_end(force_grace)) {
    force_requests(true);
    if (!wait_for_end(force_grace)) result.remaining = requests_running();
  }
  return result;
}

bool AbstractServer::wait_for_end(duration limit) {
  const time_point deadline = after(limit);
  if (!wait_for_loop(deadline)) return false;
  close_listener();
  return wait_for_requests(deadline);
}

/// Where no loop runs, a thread takes the backlog while the caller watches the deadline. It is not joined: it may
/// still be in a handler when the caller gives up. Destruction waits for it as for every loop.
void AbstractServer::take_backlog_elsewhere() {
  if (!begin_loop(true)) return;
  try {
    std::thread([this] {
      if (const auto error = detail::error_of([this] { run_loop({}); })) {
        log(LogLevel::error, "the backlog was not taken whole: " + detail::describe(error));
      }
    }).detach();
  } catch (const std::system_error& failure) {
    taking_backlog_ = false;
    end_loop();
    log(LogLevel::error, std::string("the backlog was not taken, for want of a thread: ") + failure.what());
  }
}

void AbstractServer::close_listener() noexcept {
  const std::scoped_lock lock(mutex_);
  stop_listening();
}

void AbstractServer::server_close() {
  request_stop();
  const bool within = called_from_within();
  std::unique_lock lock(mutex_);
  if (within && loop_running_) {
    close_when_loop_ends_ = true;
    return;
  }
  loop_ended_.wait(lock, [&] { return !loop_running_; });
  stop_listening();
}

std::size_t AbstractServer::force_requests(bool) noexcept { return live_requests_.shut_all_down(); }

ServerState AbstractServer::state() const {
  const bool busy = requests_running() > 0;
  const std::scoped_lock lock(mutex_);
  if (!stop_requested_) return serving_type_ ? ServerState::serving : ServerState::created;
  return loop_running_ || busy ? ServerState::draining : ServerState::stopped;
}

ServerStats AbstractServer::stats() const noexcept {
  return {.accepted = accepted_,
          .handler_errors = handler_errors_,
          .peers_gone = peers_gone_,
          .accept_errors = accept_errors_};
}

void AbstractServer::handle_error(const Address& client_address, std::exception_ptr error) {
  const std::string peer = client_address.to_string();
  if (is_peer_gone(error)) return log(LogLevel::info, peer + " has gone: " + detail::describe(error));
  const std::string dashes(40, '-');
  log(LogLevel::error, dashes + "\nError while serving " + peer + "\n" + detail::describe(error) + "\n" + dashes);
}

void AbstractServer::report_error(const Address& client_address, const std::exception_ptr& error) noexcept {
  (is_peer_gone(error) ? peers_gone_ : handler_errors_).fetch_add(1, std::memory_order_relaxed);
  if (const auto another = detail::error_of([&] { handle_error(client_address, error); })) {
    log(LogLevel::error,
        "handle_error itself failed: " + detail::describe(another) + "; it was given " + detail::describe(error));
  }
}

void AbstractServer::accept_succeeded() noexcept {
  accepted_.fetch_add(1, std::memory_order_relaxed);
  back_off_ = {};
}

void AbstractServer::accept_failed(const std::exception_ptr& error) noexcept {
  accept_errors_.fetch_add(1, std::memory_order_relaxed);
  bool lacks_resources = false;
  bool fatal = false;
  try {
    std::rethrow_exception(error);
  } catch (const boost::system::system_error& failure) {
    const error_code code = failure.code();
    if (code.category() == boost::system::system_category()) {
      if (concerns_one_connection(code.value())) return;
      fatal = code.value() == EBADF || code.value() == EINVAL || code.value() == ENOTSOCK;
      lacks_resources = !fatal;
    }
  } catch (const std::bad_alloc&) {
    lacks_resources = true;
  } catch (...) {
    // An override of get_request refused a connection in its own way; the next one may be well.
  }

  const auto now = std::chrono::steady_clock::now();
  if (fatal) request_stop();
  if (lacks_resources) {
    back_off_ = std::clamp(2 * back_off_, shortest_back_off, longest_back_off);
    accept_again_ = now + back_off_;
  }
  if (!fatal && now < next_accept_log_) return;
  next_accept_log_ = now + std::chrono::seconds(1);
  const char* const then = fatal ? "; the server stops" : lacks_resources ? "; accepting pauses" : "";
  log(fatal ? LogLevel::error : LogLevel::warning, "cannot accept: " + detail::describe(error) + then);
}

void AbstractServer::log(LogLevel level, std::string_view message) const noexcept {
  try {
    options_.log(level, message);
  } catch (...) {  // there is nowhere left to say so
  }
}

void AbstractServer::begin_destruction(const std::type_info& destructor_of) noexcept {
  const std::type_info* const serving = serving_type_;
  bool running = requests_running() > 0;
  {
    const std::scoped_lock lock(mutex_);
    running = running || loop_running_;
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
  // A child starts with copies of the buffers of the standard streams; what they hold must not be written twice.
  detail::flush_standard_streams();

  // No signal may find the child with its parent's handlers, and no lock may be held there by a thread that the child
  // does not have.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  const pid_t child = [&] {
    const std::scoped_lock lock(mutex_, live_requests_.mutex());
    return ::fork();
  }();
  const error_code error = child < 0 ? detail::last_system_error() : error_code();
  if (child == 0) {
    let_signals_end_child();
    become_child();
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (error) detail::throw_error(error, "fork");
  return child;
}

void AbstractServer::become_child() noexcept { wake_.reset(); }

}  // namespace sockserv
