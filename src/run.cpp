#include <sockserv/run.hpp>

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <exception>
#include <optional>
#include <sockserv/detail/deadline.hpp>
#include <sockserv/detail/descriptor.hpp>
#include <sockserv/detail/settings.hpp>
#include <sockserv/error.hpp>
#include <sockserv/log.hpp>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>

#include "base/leave_to_system.hpp"
#include "base/standard_error.hpp"

namespace sockserv::inline abi_0 {
namespace {

using std::chrono::steady_clock;

/// A signal's handler, until the end of the scope. Runs on the alternative stack where the thread has one: a signal
/// frame may be larger than a small fiber's stack.
class Handler {
 public:
  Handler(int signal, void (*function)(int)) noexcept : signal_(signal) {
    struct sigaction action{};
    action.sa_flags = SA_RESTART | SA_ONSTACK;
    action.sa_handler = function;
    ::sigaction(signal_, &action, &before_);
  }
  Handler(const Handler&) = delete;
  Handler& operator=(const Handler&) = delete;
  ~Handler() { ::sigaction(signal_, &before_, nullptr); }

 private:
  int signal_;
  struct sigaction before_{};
};

struct sigaction action_of(int signal) noexcept {
  struct sigaction action{};
  ::sigaction(signal, nullptr, &action);
  return action;
}

bool is_ignored(int signal) noexcept { return action_of(signal).sa_handler == SIG_IGN; }

/// Makes harmless what the process may have inherited, until the end of the scope.
class Inheritance {
 public:
  Inheritance() {
    // With a handler that does nothing, writing to a reader that has gone is an error. Unlike SIG_IGN, a handler is not
    // passed on to programs that a request handler executes.
    if (action_of(SIGPIPE).sa_handler == SIG_DFL) sigpipe_.emplace(SIGPIPE, [](int) {});
    // Where it is ignored, nobody learns how a child exited.
    if (is_ignored(SIGCHLD) || (action_of(SIGCHLD).sa_flags & SA_NOCLDWAIT) != 0) sigchld_.emplace(SIGCHLD, SIG_DFL);
  }

 private:
  std::optional<Handler> sigpipe_;
  std::optional<Handler> sigchld_;
};

/// What SIGINT and SIGTERM do while `run()` is at work. The first stops the server, and wakes the thread that drains
/// it. The second ends the program. Where the server may have child processes it ends the drain instead, which kills
/// them. There a third signal ends the program, but only a second later than the second one, so that three signals in a
/// row leave no child behind.
///
/// A SIGINT that was ignored stays ignored: so a shell protects what it runs in the background from Ctrl-C.
class StopSignals {
 public:
  /// @throws std::logic_error if there is one already.
  /// @throws boost::system::system_error if no descriptor is left.
  explicit StopSignals(AbstractServer& server) : server_(server), came_(::eventfd(0, EFD_CLOEXEC)) {
    if (!came_) detail::throw_error(detail::last_system_error(), "an eventfd for signals");
    StopSignals* none = nullptr;
    if (!current.compare_exchange_strong(none, this)) {
      throw std::logic_error("run: another server of this program is being run; serve one of them by ServerThread");
    }
    sigset_t handled;
    sigemptyset(&handled);
    if (!is_ignored(SIGINT)) {
      interrupt_.emplace(SIGINT, handle);
      sigaddset(&handled, SIGINT);
    }
    terminate_.emplace(SIGTERM, handle);
    sigaddset(&handled, SIGTERM);
    ::pthread_sigmask(SIG_UNBLOCK, &handled, &mask_before_);
  }
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;
  ~StopSignals() {
    ::pthread_sigmask(SIG_SETMASK, &mask_before_, nullptr);
    terminate_.reset();
    interrupt_.reset();
    current = nullptr;
    while (handling > 0) std::this_thread::yield();  // another thread may still be in the handler
  }

  /// Returns when the first signal came, or `stop_waiting()` was called.
  void wait() const noexcept {
    pollfd watched{came_.get(), POLLIN, 0};
    while (::poll(&watched, 1, -1) <= 0) continue;  // the process was stopped and continued
  }
  void stop_waiting() const noexcept {
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = ::write(came_.get(), &one, sizeof one);
  }

  /// How much of a drain that may take `limit` is left: it begins with the first signal.
  AbstractServer::duration left_of(AbstractServer::duration limit) const noexcept {
    const steady_clock::time_point first{steady_clock::duration(first_)};
    if (first == steady_clock::time_point()) return limit;
    const auto left = detail::deadline_after(limit, first) - detail::now();
    return std::max(left, AbstractServer::duration::zero());
  }

  /// The number of the second signal; 0: none came.
  int second() const noexcept { return second_; }

 private:
  static void handle(int signal) noexcept {
    const int saved = errno;
    ++handling;
    StopSignals* const signals = current;
    if (signals) ::getpid() == signals->process_ ? signals->came(signal) : detail::leave_to_system(signal);
    --handling;
    errno = saved;
  }

  void came(int signal) noexcept {
    steady_clock::rep never = 0;
    if (first_.compare_exchange_strong(never, detail::now().time_since_epoch().count())) {
      server_.request_stop();
      return stop_waiting();
    }
    if (!server_.prefers_single_thread()) ::_exit(128 + signal);
    const steady_clock::rep now = detail::now().time_since_epoch().count();
    never = 0;
    if (second_came_.compare_exchange_strong(never, now)) {
      second_ = signal;
      server_.hurry_drain();
    } else if (steady_clock::duration(now - second_came_) > std::chrono::seconds(1)) {
      ::_exit(128 + signal);
    }
  }

  static inline std::atomic<StopSignals*> current = nullptr;
  static inline std::atomic<int> handling = 0;  // threads

  AbstractServer& server_;
  const pid_t process_ = ::getpid();
  detail::Descriptor came_;
  std::atomic<steady_clock::rep> first_ = 0;  // when it came
  std::atomic<steady_clock::rep> second_came_ = 0;
  std::atomic<int> second_ = 0;  // its number
  sigset_t mask_before_{};
  std::optional<Handler> interrupt_;
  std::optional<Handler> terminate_;
};

void exit_after_second_signal(AbstractServer& server, const StopSignals& signals) {
  if (signals.second() == 0) return;
  server.kill_requests();
  ::_exit(128 + signals.second());
}

/// Drains, and ends the program if that is not possible, or if a second signal ended the drain.
DrainResult drain(AbstractServer& server, const StopSignals& signals, AbstractServer::duration limit) {
  const DrainResult result = server.drain(signals.left_of(limit));
  exit_after_second_signal(server, signals);
  if (result.remaining == 0) return result;
  // Their threads use the server, so it cannot be destroyed, and main cannot return. What they hold in the buffers of
  // standard output is lost: one of them may be writing there, and hold its lock.
  const detail::LastLines last_lines;
  server.log(LogLevel::error, [&] {
    return std::to_string(result.remaining) + " request(s) cannot be aborted; the program ends without them";
  });
  ::_exit(exit_aborted);
}

/// A thread that drains the server when the first signal comes, because the serving thread may be in a handler that
/// waits indefinitely. It is started before serving: later there may be no thread left.
class Drainer {
 public:
  /// @throws boost::system::system_error if there is no thread for it.
  Drainer(AbstractServer& server, const StopSignals& signals, AbstractServer::duration limit) : signals_(signals) {
    try {
      thread_ = std::thread([this, &server, &signals, limit] {
        signals.wait();
        error_ = detail::error_of([&] { result_ = drain(server, signals, limit); });
      });
    } catch (const std::system_error& error) {
      detail::throw_error(error.code(), "a thread that drains the server at its end");
    }
  }
  Drainer(const Drainer&) = delete;
  Drainer& operator=(const Drainer&) = delete;
  ~Drainer() { finish(); }

  /// Waits for the drain that a signal began, or that begins now if the server stopped for another reason. Throws what
  /// draining threw.
  DrainResult result() {
    finish();
    if (error_) std::rethrow_exception(error_);
    return result_;
  }

 private:
  void finish() {
    signals_.stop_waiting();
    if (thread_.joinable()) thread_.join();
  }

  const StopSignals& signals_;
  DrainResult result_;
  std::exception_ptr error_;
  std::thread thread_;
};

}  // namespace

int run(AbstractServer& server, const RunOptions& options) {
  detail::require_not_negative("RunOptions::drain_limit", options.drain_limit);
  const StopSignals signals(server);
  const Inheritance inheritance;
  std::optional<Drainer> drainer;
  server.expect_drain(options.drain_limit);
  server.call_when_ready(options.on_ready);

  std::exception_ptr error = detail::error_of([&] {
    if (!server.prefers_single_thread()) drainer.emplace(server, signals, options.drain_limit);
    server.serve_forever();
  });
  const auto log_error = [&](std::string_view what) {
    const detail::LastLines last_lines;
    server.log(LogLevel::error, [&] { return std::string(what) + detail::describe(error); });
  };
  if (error) log_error("serving ended: ");

  DrainResult result;
  const auto failure = detail::error_of([&] {
    if (drainer) {
      result = drainer->result();
    } else if (server.prefers_single_thread()) {  // and so has no second thread that could
      result = drain(server, signals, options.drain_limit);
    }
  });
  if (failure) {
    error = failure;
    log_error("draining failed: ");
  }
  server.server_close();
  exit_after_second_signal(server, signals);
  const detail::LastLines last_lines;
  detail::report_lost_lines();
  if (error) return exit_error;
  return result.aborted > 0 ? exit_aborted : exit_clean;
}

int detail::not_started(const std::exception_ptr& error) noexcept {
  const LastLines last_lines;
  error_of([&] { log_to_stderr(LogLevel::error, "no server could be made: " + describe(error)); });
  return exit_error;
}

ServerThread::ServerThread(AbstractServer& server)
    : server_(server), thread_([this] {
        try {
          server_.serve_forever();
        } catch (...) {  // also a request to end the thread, which ends here in any case
          error_ = std::current_exception();
        }
      }) {}

void ServerThread::stop() {
  if (!thread_.joinable()) return;
  server_.shutdown();
  thread_.join();
  server_.server_close();
  if (error_) std::rethrow_exception(error_);
}

}  // namespace sockserv::inline abi_0
