#include <sockserv/run.hpp>

#include <signal.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <iostream>
#include <mutex>
#include <optional>
#include <sockserv/error.hpp>
#include <string>

namespace sockserv {
namespace {

/// Drains the server when the first signal comes, and ends the program when the second does.
///
/// It listens in a thread of its own, because the serving thread may be in a handler that waits for ever, and drains
/// in another, so that a second signal is heard meanwhile.
class SignalWatch {
 public:
  SignalWatch(AbstractServer& server, AbstractServer::duration drain_limit)
      : server_(server), drain_limit_(drain_limit) {
    listen();
    listener_ = std::thread([this] { context_.run(); });
  }

  ~SignalWatch() {
    context_.stop();
    listener_.join();
    if (drainer_.joinable()) drainer_.join();
  }

  /// Takes account of a signal that came before there was a watch.
  void has_come(int signal) {
    boost::asio::post(context_, [this, signal] { heard(signal); });
  }

  /// Waits for the drain that a signal began, or that begins now if the server stopped for another reason.
  DrainResult finish() {
    begin_drain();
    drainer_.join();
    return result_;
  }

 private:
  void listen() {
    signals_.async_wait([this](error_code error, int signal) {
      if (error) return;
      heard(signal);
      listen();
    });
  }

  void heard(int signal) {
    if (++signals_heard_ == 1) return begin_drain();
    server_.kill_requests();
    ::_exit(128 + signal);
  }

  void begin_drain() {
    std::call_once(drain_begun_, [this] { drainer_ = std::thread([this] { drain(); }); });
  }

  void drain() {
    result_ = server_.drain(drain_limit_);
    if (result_.remaining == 0) return;
    // Their threads use the server, so it cannot be destroyed, and main cannot return.
    server_.log(LogLevel::error,
                std::to_string(result_.remaining) + " request(s) cannot be cut off; the program ends without them");
    std::cout.flush();
    ::_exit(exit_forced);
  }

  AbstractServer& server_;
  const AbstractServer::duration drain_limit_;
  boost::asio::io_context context_{1};
  boost::asio::signal_set signals_{context_, SIGINT, SIGTERM};
  int signals_heard_ = 0;
  std::thread listener_;
  std::once_flag drain_begun_;
  std::thread drainer_;
  DrainResult result_;
};

/// Makes the first signal end the serving loop, without a thread: a program that forks had better have only one (with
/// several, each fork takes more locks, and leaves the child with some that nobody holds). A hook that keeps
/// the loop from noticing is ended by the second signal.
class FirstSignal {
 public:
  explicit FirstSignal(AbstractServer& server) {
    served = &server;
    came = 0;
    struct sigaction action {};
    action.sa_flags = SA_RESTART;
    action.sa_handler = [](int signal) {
      if (came.exchange(signal) != 0) ::_exit(128 + signal);
      served->request_stop();
    };
    for (std::size_t i = 0; i < numbers.size(); ++i) ::sigaction(numbers[i], &action, &before_[i]);
  }
  FirstSignal(const FirstSignal&) = delete;
  FirstSignal& operator=(const FirstSignal&) = delete;
  ~FirstSignal() {
    for (std::size_t i = 0; i < numbers.size(); ++i) ::sigaction(numbers[i], &before_[i], nullptr);
  }

  /// Its number; 0: none.
  int number() const noexcept { return came; }

 private:
  static constexpr std::array<int, 2> numbers{SIGINT, SIGTERM};
  static inline AbstractServer* served = nullptr;
  static inline std::atomic<int> came = 0;
  std::array<struct sigaction, numbers.size()> before_{};
};

}  // namespace

int run(AbstractServer& server, const RunOptions& options) {
  server.expect_drain();
  const FirstSignal first(server);
  std::optional<SignalWatch> watch;  // takes over from `first`
  if (!server.prefers_single_thread()) watch.emplace(server, options.drain_limit);

  const auto error = detail::error_of([&] {
    if (options.on_ready) options.on_ready();
    server.serve_forever();
  });
  if (error) server.log(LogLevel::error, "serving ended: " + detail::describe(error));
  if (!watch) watch.emplace(server, options.drain_limit);
  if (first.number() != 0) watch->has_come(first.number());
  const DrainResult result = watch->finish();
  server.server_close();
  if (error) return exit_error;
  return result.forced > 0 ? exit_forced : exit_clean;
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

}  // namespace sockserv
