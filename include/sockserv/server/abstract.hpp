#pragma once

#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <concepts>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <sockserv/address.hpp>
#include <sockserv/detail/accept_pause.hpp>
#include <sockserv/detail/admission.hpp>
#include <sockserv/detail/clock.hpp>
#include <sockserv/detail/closed_together.hpp>
#include <sockserv/detail/counters.hpp>
#include <sockserv/detail/descriptor.hpp>
#include <sockserv/detail/live_requests.hpp>
#include <sockserv/detail/once_a_second.hpp>
#include <sockserv/detail/runner.hpp>
#include <sockserv/export.hpp>
#include <sockserv/options.hpp>
#include <sockserv/server/stats.hpp>
#include <string_view>
#include <typeinfo>
#include <utility>

namespace sockserv {

/// Where a server is in its life. It only ever moves down this list, but for one step: a server that has stopped drains
/// if `drain()` finds clients in its backlog.
enum class ServerState {
  created,   ///< Has not served yet.
  serving,   ///< Serves, or has served single requests by `handle_request()`.
  draining,  ///< Asked to stop; the serving thread or requests are still running, or the backlog is being taken.
  stopped,   ///< Serves no more.
};

/// What `AbstractServer::drain()` had to do.
struct DrainResult {
  /// Requests that had not ended at the deadline and were aborted.
  std::size_t aborted = 0;
  /// Requests among them that have not ended yet (a handler that computes, or waits for something else).
  std::size_t remaining = 0;
};

/// What all servers have in common, whatever they serve and whoever runs it: the serving loop, the lifecycle, and the
/// account of live requests. `BaseServer` adds the requests.
///
/// For the caller: `serve_forever`, `handle_request`, `request_stop`, `shutdown`, `drain`, `server_close`, `fileno`,
/// `server_address`, `state`, `stats`. To be overridden: `service_actions`, `handle_timeout`, `handle_error`. The rest
/// is for mixins and derived servers.
///
/// @par Stopping
/// `request_stop()` asks the loop to end, `shutdown()` also waits for that, `drain()` also lets what has been accepted
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

  /// Serves until told to stop. Calls `service_actions()` after each request and at least every `poll_interval`;
  /// stopping does not wait for that.
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
  /// sockets of those that have not, which wakes their handlers with an ordinary error (child processes get SIGTERM
  /// and, two seconds later, SIGKILL). From a handler of this server, only starts that and does not wait.
  ///
  /// If nobody serves, a new thread takes the backlog; the calling thread does where the server forks, and where there
  /// can be no thread.
  DrainResult drain(duration limit);

  /// Stops serving, closes the socket, and removes the Unix path that the server made; waits for requests as the
  /// mixin does. Does nothing more when called again. From a handler, does not wait; the serving loop closes the
  /// socket when it ends.
  virtual void server_close();

  /// The descriptor that becomes readable when a request is there; -1 before there is a socket, and once it is closed.
  virtual int fileno() const noexcept = 0;

  /// The address that the server is bound to (with the port that the system chose, if it did).
  const Address& server_address() const noexcept { return server_address_; }

  const ServerOptions& options() const noexcept { return options_; }
  ServerState state() const;
  virtual ServerStats stats() const;

  /// True if the program had better have no other thread while it serves.
  virtual bool prefers_single_thread() const noexcept { return false; }

  /// True once the server has been told to stop. Handlers ask by `this_request::stop_requested()`.
  bool stop_requested() const noexcept { return stop_requested_ || runner().stop_requested(); }

  /// Requests that have been accepted and have not ended.
  virtual std::size_t requests_running() const;

  /// Called by the serving loop: see `serve_forever()`. Does nothing by default.
  virtual void service_actions() {}
  /// Called by `handle_request()` when its time has passed. Does nothing by default.
  virtual void handle_timeout() {}
  /// Called with what escaped a hook or a handler, in the thread or process where it did. Logs it: a peer that has
  /// gone or was aborted in one line, anything else as a block with the peer's address. What an override throws is
  /// logged.
  virtual void handle_error(const Address& client_address, std::exception_ptr error);

  /// The account of requests that are running. For sockserv itself.
  detail::LiveRequests& live_requests() noexcept { return live_requests_; }
  /// Called when a handler is going to wait for the next request from this descriptor: sees to it that idle requests of
  /// this process are ended when the server stops. For sockserv itself.
  void expect_stop(int descriptor) { runner().expect_stop(descriptor); }

  /// Says that `drain(limit)` will follow as soon as serving ends, as it does in `run()`: the serving thread then
  /// takes the backlog itself, within that limit, and workers take it too before they end. To be called before serving.
  void expect_drain(duration limit) noexcept;
  /// Makes `serve_forever()` call `action` in its thread, once, when it has all that serving and stopping need and is
  /// about to accept. To be called before serving.
  void call_when_ready(std::function<void()> action) { when_ready_ = std::move(action); }
  /// Makes a drain, now or later, abort and kill what runs without waiting. Only for servers that prefer a single
  /// thread: drains of others wait for threads too. Async-signal-safe.
  void hurry_drain() noexcept;

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

  /// Ends the server in a hard way, for when there is no time to drain: shuts down every request's socket, kills
  /// child processes.
  void kill_requests() noexcept { abort_requests(true); }

 protected:
  explicit AbstractServer(ServerOptions options);

  /// @name For mixins
  /// @{

  /// Serves what is there to be accepted; false if there was nothing. A failure to accept it counts as something.
  virtual bool handle_request_noblock() = 0;
  /// Closes the listening socket and removes its path. Called when no loop uses it.
  virtual void stop_listening() noexcept = 0;
  using MakeRunner = std::function<std::unique_ptr<detail::Runner>()>;
  /// Has the server use the runner that `make` returns; the end of the scope ends the runner, which waits for what it
  /// runs. A mixin's last member, because the runner calls the mixin's hooks and reads its knobs. A worker process
  /// calls `make` again: it has none of the threads of its parent's runner.
  class UsesRunner {
   public:
    UsesRunner(AbstractServer& server, MakeRunner make) : server_(server) { server_.use_runner(std::move(make)); }
    UsesRunner(const UsesRunner&) = delete;
    UsesRunner& operator=(const UsesRunner&) = delete;
    ~UsesRunner() { server_.end_runner(); }

   private:
    AbstractServer& server_;
  };
  /// The server's runner.
  detail::Runner& runner() const noexcept { return *runner_; }
  /// The ids of the processes that the runner has running.
  std::set<pid_t> processes() const { return runner().processes(); }
  /// Waits until the runner is idle, unless called from a handler.
  void wait_for_runner();

  /// Called before serving.
  /// @throws std::invalid_argument for a knob whose value makes no sense.
  virtual void check_settings() const;
  /// Called by `serve_forever()` before the loop, and after it (also if the former threw). From `end_serving()` on,
  /// nobody but the serving thread accepts.
  virtual void begin_serving() {
    if (acceptor_) runner().start(*acceptor_);
  }
  virtual void end_serving() noexcept { runner().stop_accepting(); }
  /// True while `call_when_ready()` has something to call.
  bool awaits_readiness() const noexcept { return when_ready_ != nullptr; }
  /// True once requests can be served: the loop then calls what `call_when_ready()` was given.
  virtual bool is_ready() const { return true; }
  /// Called by `serve_forever()` when it could accept now: true if others do that for it, who call `wake()` when they
  /// cannot go on. They call `handle_request_noblock()`, one at a time, within a `detail::RequestScope` of this server.
  virtual bool others_accept() { return runner().accept(); }
  /// Returns false while a limit is reached: the backlog holds what comes. The loop asks again when `wake()` is called
  /// or the runner's descriptor becomes readable. Any thread that accepts may ask.
  virtual bool may_accept();
  /// The same, with pauses after failures to accept.
  bool may_accept_now() { return may_accept() && !accept_pause_.end(); }
  /// True if requests are waiting that the descriptor does not tell of, because they were taken together with others.
  virtual bool requests_at_hand() const noexcept { return false; }
  /// False if what this process takes from the socket should be no more than it can serve at once, since others could
  /// serve it.
  virtual bool may_take_requests_ahead() const noexcept { return true; }
  /// True while `serve_forever()` goes on, if so: only then are requests taken before they can be served.
  bool takes_requests_ahead() const noexcept { return takes_requests_ahead_; }
  /// Called before the loop waits: when to call `collect()`.
  virtual detail::Runner::Watch watch() { return runner().watch(); }
  /// Looks after what the runner has running.
  virtual void collect() { runner().collect(); }
  /// True once the socket can be served.
  virtual bool is_listening() const noexcept = 0;
  /// How many requests may be waiting when the server is told to drain.
  virtual int backlog_limit() const noexcept = 0;
  /// Waits until no accepted request runs any more, or until the deadline; true if none does.
  virtual bool wait_for_requests(time_point deadline);
  /// Makes `wait_for_requests()` return at once, now and from now on. Async-signal-safe.
  virtual void stop_waiting_for_requests() noexcept { runner().stop_waiting(); }
  /// Aborts what runs: `last_resort` is false at the deadline and true when that did not help. Returns the count.
  virtual std::size_t abort_requests(bool last_resort) noexcept;

  /// Serves what the backlog holds, until it is empty or `taking_backlog()` is false. Called when nobody serves any
  /// more.
  virtual void serve_backlog();
  bool taking_backlog() const noexcept {
    return taking_backlog_ && !drain_hurried_ && detail::now() < backlog_deadline_;
  }
  /// True if the backlog holds something.
  bool is_anyone_waiting() const noexcept;
  /// True if the backlog is to be taken after serving.
  bool drain_wanted() const noexcept { return taking_backlog_ || drain_expected_; }

  /// Makes the serving loop look around.
  void wake() noexcept;
  /// One turn of the serving loop without requests: waits until the mixin's descriptor is readable, `wake()` is called
  /// or the time has passed, and calls `service_actions()`. No value: without a limit.
  void poll_once(std::optional<duration> limit = std::nullopt);
  /// Tells the serving loop to end, and ends idle requests. Not for signal handlers.
  void begin_stop() noexcept;
  /// Ends the requests that wait for nothing but their clients' next one, now and from now on.
  void end_idle() noexcept;
  /// Begins to drain: as `begin_stop()`, and the serving thread takes the backlog before it ends.
  void begin_drain();
  /// Ends a drain: leaves what is in the backlog, and aborts what runs. Returns how many requests that are.
  std::size_t end_drain() noexcept;
  /// Ends serving, and has `serve_forever()` throw this. To be called by the thread that serves.
  void stop_with(std::exception_ptr error) noexcept;
  /// True in the thread that serves, and in handlers of this server.
  bool called_from_within() const noexcept;
  /// Calls `handle_error()`, and survives it.
  void report_error(const Address& client_address, const std::exception_ptr& error) noexcept;
  /// Accounts for an error of `get_request()`; pauses if accepting again at once would fail again. False if it would
  /// fail indefinitely.
  bool accept_failed(const std::exception_ptr& error) noexcept;
  void accept_succeeded() noexcept;
  /// Takes account of a new request until it has ended. No value: its address has all the connections that it may have.
  std::optional<detail::Admission> admit(const Address& client_address, bool is_connection);
  void count_rejected(Rejection reason, const Address& client_address) noexcept;
  /// Makes the server count there, from now on: in memory that it shares with other processes.
  void count_in(detail::Counters& counters) noexcept { counters_ = &counters; }
  /// The server's part of `ServerOptions::max_connections`, where several processes share it.
  void set_max_connections(std::size_t count) noexcept { options_.max_connections = count; }
  void set_server_address(const Address& address) { server_address_ = address; }
  detail::Counters& counters() noexcept { return *counters_; }

  /// The first thing in each destructor of the hierarchy, with the class that it belongs to. If requests still run
  /// although the object was of a class derived further, members that their handlers use are gone by now: says what
  /// to do, and terminates. Otherwise closes the server.
  void begin_destruction(const std::type_info& destructor_of) noexcept {
    begin_destruction(destructor_of, requests_running());
  }
  /// The same where not all requests that run use the object.
  void begin_destruction(const std::type_info& destructor_of, std::size_t requests_using_this) noexcept;

  /// fork(), with the locks of this server and its registries held, so that they are free in the child; there
  /// `become_child()` is called, SIGTERM deadly, and SIGINT ignored where the parent handles it.
  /// @throws boost::system::system_error if there can be no child.
  pid_t fork_process(detail::ClosedTogether& unneeded);
  /// In a child process: lets go of what only the parent needs. Its descriptors go into `unneeded`.
  virtual void become_child(detail::ClosedTogether& unneeded) noexcept;

  /// The same for a worker process, which goes on to serve the same socket: there `become_worker()` is called, and
  /// SIGTERM requests a stop.
  pid_t fork_worker();
  /// In a worker process: makes this a server that has not served yet, with threads and requests of its own. What it
  /// throws ends the worker.
  virtual void become_worker();
  /// In a worker process: serves as the parent would until told to stop, and then waits for the requests in progress.
  void serve_as_worker();
  /// @}

 private:
  struct ReadyDescriptors {
    bool request = false;
    bool anything = false;
  };

  class ServingRole;
  class OwnAcceptor;

  static detail::Descriptor make_wake() noexcept;
  void use_runner(MakeRunner make);
  void end_runner() noexcept;
  bool take_serving_role(const char* caller);
  void give_up_serving_role() noexcept;
  void throw_fatal_error();
  void begin_expected_drain();
  void take_backlog();
  void take_unserved_backlog(time_point deadline);
  bool start_taking_backlog();
  void take_backlog_in_this_thread();
  bool wait_for_serving_thread(time_point deadline);
  bool wait_until_done(time_point deadline);
  void close_listener() noexcept;
  void end_backlog() noexcept;
  void handle_waiting_requests();
  void service();
  ReadyDescriptors wait(std::optional<time_point> deadline, bool for_requests);

  ServerOptions options_;
  Address server_address_;
  detail::Counters own_counters_;
  detail::Counters* counters_ = &own_counters_;
  detail::LiveRequests live_requests_{[this] { wake(); }};
  detail::ConnectionsByAddress connections_by_address_;
  detail::OnceASecond may_log_rejection_;
  detail::Descriptor wake_;  // an eventfd
  std::unique_ptr<detail::Acceptor> acceptor_;
  MakeRunner make_runner_;
  std::unique_ptr<detail::Runner> own_runner_;  // null: the one that all servers without a mixin share
  detail::Runner* runner_;

  std::atomic<bool> stop_requested_ = false;
  std::atomic<bool> taking_backlog_ = false;
  std::atomic<bool> takes_requests_ahead_ = false;
  std::atomic<bool> drain_expected_ = false;
  std::atomic<bool> drain_hurried_ = false;
  std::atomic<duration::rep> stopped_at_ = 0;  // when it was first asked to stop
  std::atomic<const std::type_info*> serving_type_ = nullptr;

  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable serving_ended_;
  bool serving_ = false;
  bool backlog_taken_ = false;
  bool close_after_serving_ = false;

  detail::AcceptPause accept_pause_;                         // whoever accepts uses it
  duration drain_limit_ = duration::max();                   // set before serving
  std::function<void()> when_ready_;                         // set before serving
  std::exception_ptr fatal_error_;                           // the serving thread's
  duration poll_interval_ = std::chrono::milliseconds(500);  // the serving thread's
  time_point backlog_deadline_ = time_point::max();          // the serving thread's
};

}  // namespace sockserv
