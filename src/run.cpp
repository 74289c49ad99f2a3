#include <sockserv/run.hpp>

#include <signal.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <iostream>
#include <mutex>
#include <string>

namespace sockserv {
namespace {

/// Listens for the signals in a thread of its own, because the serving thread may be in a handler that waits for ever;
/// and drains in another, so that a second signal is heard meanwhile.
class SignalWatch {
 public:
  SignalWatch(AbstractServer& server, AbstractServer::duration drain_limit)
      : server_(server), drain_limit_(drain_limit) {
    signals_.async_wait([this](error_code error, int) {
      if (!error) first_signal();
    });
    listener_ = std::thread([this] { context_.run(); });
  }

  ~SignalWatch() {
    context_.stop();
    listener_.join();
    if (drainer_.joinable()) drainer_.join();
  }

  /// Waits for the drain that a signal began, or that begins now if the server stopped for another reason.
  DrainResult finish() {
    begin_drain();
    drainer_.join();
    return result_;
  }

 private:
  void first_signal() {
    signals_.async_wait([this](error_code error, int signal) {
      if (!error) end_at_once(signal);
    });
    begin_drain();
  }

  void begin_drain() {
    std::call_once(drain_begun_, [this] { drainer_ = std::thread([this] { drain(); }); });
  }

  void drain() {
    result_ = server_.drain(drain_limit_);
    if (result_.remaining == 0) return;
    // Their threads use the server, so it cannot be destroyed, and main cannot return.
    server_.options().log(LogLevel::error, std::to_string(result_.remaining) +
                                               " request(s) cannot be cut off; the program ends without them");
    std::cout.flush();
    ::_exit(exit_forced);
  }

  [[noreturn]] void end_at_once(int signal) {
    server_.kill_requests();
    ::_exit(128 + signal);
  }

  AbstractServer& server_;
  const AbstractServer::duration drain_limit_;
  boost::asio::io_context context_{1};
  boost::asio::signal_set signals_{context_, SIGINT, SIGTERM};
  std::thread listener_;
  std::once_flag drain_begun_;
  std::thread drainer_;
  DrainResult result_;
};

}  // namespace

int run(AbstractServer& server, const RunOptions& options) {
  SignalWatch watch(server, options.drain_limit);
  const auto error = detail::error_of([&] {
    if (options.on_ready) options.on_ready();
    server.serve_forever();
  });
  if (error) {
    server.options().log(LogLevel::error, "serving ended: " + detail::describe(error));
    server.server_close();
    return exit_error;
  }
  const DrainResult result = watch.finish();
  server.server_close();
  return result.forced > 0 ? exit_forced : exit_clean;
}

ServerThread::ServerThread(AbstractServer& server)
    : server_(server), thread_([this] { error_ = detail::error_of([this] { server_.serve_forever(); }); }) {}

void ServerThread::stop() {
  if (!thread_.joinable()) return;
  server_.shutdown();
  thread_.join();
  server_.server_close();
  if (error_) std::rethrow_exception(error_);
}

}  // namespace sockserv
