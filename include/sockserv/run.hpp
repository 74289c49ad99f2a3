#pragma once

/// Serving until told otherwise: in the foreground of a program, or behind a test.

#include <chrono>
#include <concepts>
#include <exception>
#include <functional>
#include <optional>
#include <sockserv/address.hpp>
#include <sockserv/error.hpp>
#include <sockserv/export.hpp>
#include <sockserv/server/abstract.hpp>
#include <thread>

namespace sockserv::inline abi_0 {

/// How `run()` ends.
struct RunOptions {
  /// How long requests in progress may take to finish after the first signal. Zero: they are aborted at once.
  AbstractServer::duration drain_limit = std::chrono::seconds(30);
  /// Called in the serving thread, once, when signals are handled, every thread that serving and stopping need runs,
  /// and (with `PreForkingMixIn`) a worker is ready: the place to announce that the server is ready. What it throws
  /// ends serving. Empty: nothing is called.
  std::function<void()> on_ready = {};
};

/// What `run()` returns, and so what a program's main returns. sysexits(3) calls 75 a temporary failure.
enum ExitStatus : int {
  exit_clean = 0,     ///< Every request was finished.
  exit_error = 1,     ///< Serving ended with an error, which has been logged.
  exit_aborted = 75,  ///< Requests had to be aborted.
};

namespace detail {
/// Logs why there is no server to run; returns `exit_error`.
SOCKSERV_EXPORT int not_started(const std::exception_ptr& error) noexcept;
}  // namespace detail

/// Serves until SIGINT or SIGTERM (or until something stops the server), then drains and closes it.
///
/// A second signal ends the program at once with status 128 + its number. A server that forks kills its children first;
/// if a hook keeps its serving thread from that for a second, a third signal ends the program. A request that cannot
/// even be aborted (its handler computes without end) ends the program with status 75 two drain steps after the limit.
///
/// Until it returns, `run()` makes the process safe from what it inherited:
/// - SIGINT and SIGTERM are unblocked in the calling thread. A SIGINT that is ignored stays ignored, because a shell
///   ignores it for programs that a script runs in the background; SIGTERM is always handled.
/// - SIGPIPE does nothing where it would end the program. The programs that a handler executes get the default action.
/// - SIGCHLD gets its default action where it is ignored, so that the exit status of child processes is known.
///
/// Closed descriptors 0 to 2 were opened on /dev/null when the server was constructed.
///
/// An error that ends serving is logged. If standard error is full, the last lines are tried for up to 100 ms.
/// @throws std::logic_error if the program is in `run()` already, in whichever thread.
/// @throws boost::system::system_error if no descriptor is left.
SOCKSERV_EXPORT int run(AbstractServer& server, const RunOptions& options = {});

/// Makes a server at this address, and serves until SIGINT or SIGTERM as above: all that the main() of a simple program
/// has to do.
///
///     int main() { return sockserv::run<sockserv::ThreadingTCPServer<Upper>>({"127.0.0.1", 9000}); }
///
/// If the server cannot be made, because its address is in use, say, the reason is logged, and `exit_error` returned.
template <std::derived_from<AbstractServer> Server>
int run(const Address& server_address, const RunOptions& options = {}) {
  std::optional<Server> server;
  if (const auto error = detail::error_of([&] { server.emplace(server_address); })) return detail::not_started(error);
  return run(*server, options);
}

/// Serves in a background thread for as long as it lives: for tests, and for programs that do other things.
///
///     sockserv::ThreadingTCPServer<Upper> server({"127.0.0.1", 0});
///     sockserv::ServerThread background(server);
///     … talk to server.server_address() …
///     // going out of scope: shutdown(), join, server_close()
///
/// @par Lifetime
/// The server must outlive it.
class SOCKSERV_EXPORT ServerThread {
 public:
  /// Starts serving; clients can connect at once, since the server is bound already.
  explicit ServerThread(AbstractServer& server);
  ServerThread(const ServerThread&) = delete;
  ServerThread& operator=(const ServerThread&) = delete;
  /// As `stop()`, but an error of `serve_forever()` ends the program: call `stop()` to handle it.
  ~ServerThread() { stop(); }

  /// Stops serving, waits for the thread, and closes the server. Throws what `serve_forever()` threw.
  void stop();

 private:
  AbstractServer& server_;
  std::exception_ptr error_;
  std::thread thread_;
};

}  // namespace sockserv::inline abi_0
