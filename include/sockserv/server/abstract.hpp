#pragma once

#include <sys/types.h>

#include <chrono>
#include <concepts>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <sockserv/address.hpp>
#include <sockserv/detail/admission.hpp>
#include <sockserv/detail/counters.hpp>
#include <sockserv/detail/listener.hpp>
#include <sockserv/detail/runner.hpp>
#include <sockserv/export.hpp>
#include <sockserv/options.hpp>
#include <sockserv/server/stats.hpp>
#include <string_view>
#include <typeinfo>

namespace sockserv::inline abi_0 {

namespace detail {
class ClosedTogether;
class LiveRequests;
struct WorkerRole;
}  // namespace detail

/// Where a server is in its life. It moves down this list, with one exception: a server that has stopped drains if
/// `drain()` finds clients in its backlog.
enum class ServerState {
  created,   ///< Has not served yet.
  serving,   ///< Serves, or has served single requests by `handle_request()`.
  draining,  ///< Told to stop; the serving thread or requests are still running, or the backlog is being taken.
  stopped,   ///< Does not serve any more.
};

/// What `AbstractServer::drain()` had to do.
struct DrainResult {
  /// Requests that were still running at the deadline and were aborted.
  std::size_t aborted = 0;
  /// Those of them that still run: a handler computes, or waits for something that is not its client.
  std::size_t remaining = 0;
};

/// The base of all servers, whatever they serve and under every mixin. `BaseServer` adds the requests.
///
/// For the caller: `serve_forever`, `handle_request`, `request_stop`, `shutdown`, `drain`, `server_close`, `fileno`,
/// `server_address`, `state`, `stats`. To be overridden: `service_actions`, `serving_loop_ended`, `handle_timeout`,
/// `handle_error`, `server_close`, and `check_settings` for settings of your own; an override of the last two calls its
/// base's. The rest is for mixins and derived servers.
///
/// @par Stopping
/// `request_stop()` tells the loop to end, `shutdown()` also waits for that, `drain()` also lets what has been accepted
/// finish. Each may be called at any time, from any thread, repeatedly, before, during and after serving, and from
/// handlers: there none of them waits. A server that was told to stop stays stopped.
///
/// Idle connections, whose handlers are in `StreamRequestHandler::wait_for_next_request()`, are ended by all of them;
/// after `request_stop()` alone, when the loop ends, so that one which the loop's own thread serves (without a mixin)
/// keeps the loop until another of them is called.
///
/// @par Thread safety
/// The functions for the caller may be called by any thread at any time, except that one thread at a time serves and
/// that destruction is alone. Knobs (public data members) are set before serving.
class SOCKSERV_EXPORT AbstractServer {
 public:
  using duration = std::chrono::steady_clock::duration;
  using time_point = std::chrono::steady_clock::time_point;

  AbstractServer(const AbstractServer&) = delete;
  AbstractServer& operator=(const AbstractServer&) = delete;
  virtual ~AbstractServer();

  /// How long `handle_request()` waits before it calls `handle_timeout()`. Zero: not at all. No value: indefinitely.
  std::optional<duration> timeout;

  /// Sets how many threads, processes or loops serve, whatever the mixin calls that knob: `max_threads`, `pool_size`,
  /// `max_children`, `processes` or `loops`. Call it before serving.
  /// @throws std::invalid_argument if there is no mixin and `count` is not 1.
  virtual void set_concurrency(std::size_t count);

  /// Serves until told to stop. Calls `service_actions()` at least every `poll_interval`, and after each request that
  /// this thread accepts; stopping does not wait for that.
  ///
  /// Returns at once if the server has been told to stop. Failures to accept do not end it: it logs them, and waits
  /// a little where the system lacks descriptors or memory. Hooks that run in this thread (`get_request`,
  /// `verify_request`, `service_actions`, and without a mixin the handlers) hold up everything else while they wait.
  /// @throws std::logic_error if the server does not listen, or is being served by another thread.
  /// @throws std::invalid_argument if `poll_interval` is not positive, or a knob makes no sense.
  /// @throws boost::system::system_error if the socket turns out to be none (somebody has closed its descriptor).
  /// @throws std::bad_alloc, boost::thread_resource_error, boost::system::system_error if the memory, threads or
  ///     descriptors are lacking that serving and stopping need; nothing has been accepted then.
  void serve_forever(duration poll_interval = std::chrono::milliseconds(500));

  /// Serves one request, or calls `handle_timeout()` if none has come within `timeout`. Returns at once if the server
  /// has been told to stop. For programs with an event loop of their own: call it when `fileno()` is readable. It may
  /// also call `service_actions()`, when a child has ended, say. Throws what `serve_forever()` does.
  void handle_request();

  /// Tells the serving loop to end. Never blocks; may be called from a signal handler.
  void request_stop() noexcept;

  /// Tells the serving loop to end and waits until it has. Requests in progress go on. From a handler of this server,
  /// does not wait.
  void shutdown();

  /// Stops accepting, takes what the backlog still holds, and lets requests finish; after `limit` shuts down the
  /// sockets of those that have not, which wakes their handlers with an ordinary error (children get SIGTERM,
  /// workers the command to abort; two seconds later what is left gets SIGKILL). From a handler of this server, only
  /// starts that and does not wait.
  ///
  /// If nobody serves, a new thread takes the backlog; the calling thread does where the server forks, and where there
  /// can be no thread.
  DrainResult drain(duration limit);

  /// Stops serving, closes the socket, and removes the Unix path that the server made; waits for requests as the
  /// mixin does. Does nothing more when called again. From a handler, does not wait; the serving loop closes the
  /// socket when it ends.
  virtual void server_close();

  /// Returns the descriptor that becomes readable when a request is there; -1 before there is a socket, and once it is
  /// closed.
  int fileno() const noexcept { return listener_.fileno(); }

  /// The address that the server is bound to (with the port that the system chose, if it did).
  const Address& server_address() const noexcept { return server_address_; }

  const ServerOptions& options() const noexcept { return options_; }
  ServerState state() const;
  /// Returns what the server counted, in all its processes. In a worker: what the workers counted.
  ServerStats stats() const;

  /// Returns true if the program should not run other threads while this server serves, because it forks.
  bool prefers_single_thread() const noexcept { return runner().processes() != nullptr; }

  /// Returns true once the server was told to stop. Handlers ask by `this_request::stop_requested()`.
  bool stop_requested() const noexcept;

  /// Returns the number of requests that were accepted and have not ended, in all processes of the server.
  std::size_t requests_running() const;

  /// Called by the serving loop: see `serve_forever()`. Does nothing by default.
  virtual void service_actions() {}
  /// Called by `serve_forever()`, in its thread, when its loop ends, unless the loop could not begin: the place to tell
  /// handlers that would stay indefinitely to finish. If the server drains, handlers of requests in the backlog begin
  /// after it. Each worker calls it, and so does the parent. What it throws is logged. Does nothing by default.
  virtual void serving_loop_ended() {}
  /// Called by `handle_request()` when its time has passed. Does nothing by default.
  virtual void handle_timeout() {}
  /// Called with what escaped a hook or a handler, in the thread or process where it did. Logs it: a peer that has
  /// gone or was aborted in one line, anything else as a block with the peer's address. What an override throws is
  /// logged.
  virtual void handle_error(const Address& client_address, std::exception_ptr error);

  /// Says that `drain(limit)` will follow as soon as serving ends, as it does in `run()`: the serving thread then
  /// takes the backlog itself, within that limit, and workers take it too before they exit. Call it before serving.
  void expect_drain(duration limit) noexcept;
  /// Makes `serve_forever()` call `action` in its thread, once, when it has all that serving and stopping need and is
  /// about to accept. Call it before serving.
  void call_when_ready(std::function<void()> action);
  /// Makes a drain, now or later, abort and kill what runs without waiting. Only for servers that prefer a single
  /// thread: drains of others wait for threads too. Async-signal-safe.
  void hurry_drain() noexcept;
  /// Shuts down every request's socket, and kills child processes, for when there is no time to drain.
  void kill_requests() noexcept;

  /// Hands a message to `ServerOptions::log`.
  void log(LogLevel level, std::string_view message) const noexcept;
  /// The same with the message that `make` returns; if there is no memory to make it, the log says so.
  template <std::invocable Make>
  void log(LogLevel level, const Make& make) const noexcept {
    try {
      log(level, std::string_view(make()));
    } catch (...) {
      log(level, std::string_view("a message is lost because there is no memory for it"));
    }
  }

  /// @name For sockserv itself
  /// @{

  /// The account of the requests of this process.
  detail::LiveRequests& live_requests() noexcept;
  /// Called when a handler is about to wait for the next request from this descriptor: from then on the process hears
  /// when the server stops.
  void expect_stop(int descriptor);
  /// @}

 protected:
  using MakeRunner = std::function<std::unique_ptr<detail::Runner>()>;

  explicit AbstractServer(ServerOptions options);

  /// @name For mixins and derived servers
  /// @{

  /// Called before the server serves. An override calls that of its base.
  /// @throws std::invalid_argument for a knob whose value makes no sense.
  virtual void check_settings() const;
  /// The first thing in each destructor of the hierarchy, with the class that it belongs to. If requests still run
  /// although the object was of a class derived further, members that their handlers use are gone by now: then it says
  /// what to do, and terminates. Otherwise it closes the server.
  void begin_destruction(const std::type_info& destructor_of) noexcept;
  /// Returns true in the thread that serves, and in handlers of this server.
  bool called_from_within() const noexcept;
  /// Counts the error and calls `handle_error()`. What that throws is logged.
  void report_error(const Address& client_address, const std::exception_ptr& error) noexcept;
  /// Waits until the runner runs nothing in this process any more, unless called from within.
  void wait_for_runner();
  /// Aborts the requests of this process, and waits until none is left.
  void abort_and_wait() noexcept;
  /// @}

  /// @name For sockserv's mixins
  /// @{

  /// Has the server use the runner that `make` returns; the end of the scope ends the runner, which waits for what it
  /// runs. A mixin's last member, because the runner calls the mixin's hooks and reads its knobs.
  class UsesRunner {
   public:
    UsesRunner(AbstractServer& server, MakeRunner make) : server_(server) { server_.use_runner(std::move(make)); }
    UsesRunner(const UsesRunner&) = delete;
    UsesRunner& operator=(const UsesRunner&) = delete;
    ~UsesRunner() { server_.end_runner(); }

   private:
    AbstractServer& server_;
  };
  /// Returns the function that made the runner; empty if there is no mixin.
  const MakeRunner& make_runner() const noexcept;
  detail::Runner& runner() const noexcept;
  /// Waits until the runner has no process any more, unless called from within.
  void wait_for_processes();
  /// Returns the ids of the runner's processes.
  std::set<pid_t> process_ids() const;
  /// Wakes the serving loop, which then looks at everything anew.
  void wake() noexcept;

  /// fork(), with the server's locks held, so that they are free in the child. There SIGINT and SIGTERM are ignored if
  /// the parent handles them, except for a SIGTERM that the parent sends. The child serves one request: descriptors
  /// that it does not need go into `unneeded`.
  /// @throws boost::system::system_error if there can be no child.
  pid_t fork_process(detail::ClosedTogether& unneeded);
  /// The same for a worker, which has a server that has not served yet, and a runner that `make_runner` makes. There
  /// SIGTERM stops the server.
  pid_t fork_worker(const MakeRunner& make_runner);
  /// In a worker: serves until told to stop, and then waits for the requests in progress.
  void serve_as_worker(const detail::WorkerRole& role);
  /// Has the server count there from now on: in memory that it shares with other processes.
  void count_in(detail::Counters& counters) noexcept;
  /// @}

  /// @name For BaseServer and TCPServer
  /// @{

  /// Accepts a request and has it served; returns false if there was none. A failure to accept counts as a request.
  virtual bool handle_request_noblock() = 0;
  /// Goes on with a connection whose client was awaited; if there is an error, reports it, and ends the connection.
  virtual void serve_awaited(Connection& request, const Address& client_address, const std::exception_ptr& error) = 0;
  /// Ends such a connection because the server stops.
  virtual void end_awaited(Connection& request) noexcept = 0;
  detail::Listener& listener() noexcept { return listener_; }
  void set_server_address(const Address& address) { server_address_ = address; }
  /// Returns true while requests may be taken from the socket before they can be served.
  bool takes_requests_ahead() const noexcept;
  /// Accounts for an error of `get_request()`. If accepting again at once would fail again, accepting pauses. Returns
  /// false if it would fail indefinitely.
  bool accept_failed(const std::exception_ptr& error) noexcept;
  void accept_succeeded() noexcept;
  /// Returns true if clients that have to send something first are awaited where no request runs.
  bool awaits_clients() const noexcept;
  /// Has the client awaited, and then one of the two above called; returns false if that is not possible.
  bool await_client(Connection& request, const Address& client_address) noexcept;
  /// Accounts for a new request until it ends. No value: its address has as many connections as it may have.
  std::optional<detail::Admission> admit(const Address& client_address, bool is_connection);
  /// Ends the sending direction of a connection. If it has to linger, takes it away: then it is closed here.
  void end_connection(Connection& request) noexcept;
  void count_rejected(Rejection reason, const Address& client_address) noexcept;
  detail::Counters& counters() noexcept;
  /// @}

 private:
  class Core;

  void use_runner(MakeRunner make);
  void end_runner() noexcept;
  void become_worker(const MakeRunner& make_runner);

  ServerOptions options_;
  Address server_address_;
  detail::Listener listener_;
  std::unique_ptr<Core> core_;
};

}  // namespace sockserv::inline abi_0
