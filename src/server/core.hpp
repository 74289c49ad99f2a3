#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <sockserv/detail/admission.hpp>
#include <sockserv/detail/clock.hpp>
#include <sockserv/detail/counters.hpp>
#include <sockserv/detail/descriptor.hpp>
#include <sockserv/detail/live_requests.hpp>
#include <sockserv/detail/once_a_second.hpp>
#include <sockserv/detail/runner.hpp>
#include <sockserv/server/abstract.hpp>

#include "accept_pause.hpp"
#include "awaited_clients.hpp"
#include "lifecycle.hpp"
#include "linger_set.hpp"
#include "worker_role.hpp"

namespace sockserv::inline abi_0 {

/// What a server is made of in one process: its lifecycle, its serving loop, its runner, and the account of what runs.
/// It calls the hooks of the server that owns it.
///
/// A worker process makes itself a new one, and leaves the one that it inherited as it is: its locks may be held, and
/// its threads are the parent's.
///
/// @par Thread safety
/// As `AbstractServer`.
class AbstractServer::Core final : public detail::Acceptor {
 public:
  Core(AbstractServer& server, MakeRunner make_runner);
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;

  /// @name Serving (serving.cpp)
  /// @{
  void serve_forever(duration poll_interval);
  void handle_request();
  /// Wakes the serving loop, which then looks at everything anew. Async-signal-safe.
  void wake() noexcept;
  /// Ends serving, and has `serve_forever()` throw this. Called by the thread that serves, or by one that accepts
  /// for it.
  void stop_with(std::exception_ptr error) noexcept;
  /// Returns true while requests may be taken from the socket before they can be served.
  bool takes_requests_ahead() const noexcept { return takes_requests_ahead_; }
  /// @}

  /// @name Set before serving
  /// @{
  void expect_drain(duration limit) noexcept {
    drain_limit_ = limit;
    drain_expected_ = true;
  }
  void call_when_ready(std::function<void()> action) { when_ready_ = std::move(action); }
  /// @}

  /// @name Stopping (stopping.cpp)
  /// @{
  void request_stop() noexcept;
  bool stop_requested() const noexcept;
  void shutdown();
  DrainResult drain(duration limit);
  void hurry_drain() noexcept;
  void server_close();
  /// Ends the requests that wait for nothing but their clients' next one, now and from now on.
  void end_idle(detail::EndIdle when) noexcept;
  /// Aborts what runs: `last_resort` is false at the deadline and true when that did not help. Returns the count.
  std::size_t abort_requests(bool last_resort) noexcept;
  ServerState state() const;
  bool called_from_within() const noexcept;
  const Lifecycle& lifecycle() const noexcept { return lifecycle_; }
  /// @}

  /// @name Accepting
  /// @{
  int listener() const noexcept override { return server_.fileno(); }
  bool may_accept() override;
  bool accept() override;
  bool accept_failed(const std::exception_ptr& error) noexcept;
  void accept_succeeded() noexcept;
  std::optional<detail::Admission> admit(const Address& client_address, bool is_connection);
  bool awaits_clients() const noexcept { return awaited_.is_open(); }
  bool await_client(Connection& request, const Address& client_address) noexcept;
  /// @}

  /// @name What runs (running.cpp)
  /// @{
  void use_runner(MakeRunner make);
  void end_runner() noexcept;
  const MakeRunner& make_runner() const noexcept { return make_runner_; }
  detail::Runner& runner() const noexcept { return *runner_; }
  detail::LiveRequests& live_requests() noexcept { return live_requests_; }
  /// Requests that this process has, and those of the runner's processes.
  std::size_t requests_here() const;
  std::size_t requests_running() const;
  bool wait_for_requests(time_point deadline);
  /// Of the requests here, those whose handlers have not ended.
  std::size_t handlers_here() const;
  void end_connection(Connection& request) noexcept;
  /// Waits until no connection lingers.
  void finish_lingering() noexcept { linger_.serve_until_empty(); }
  /// @}

  /// @name Counting
  /// @{
  detail::Counters& counters() noexcept { return *counters_; }
  void count_in(detail::Counters& counters) noexcept { counters_ = &counters; }
  ServerStats stats() const;
  /// Returns true if a rejection may be logged now, which is once a second.
  bool may_log_rejection() noexcept { return may_log_rejection_(); }
  /// @}

  /// @name Forking (forking.cpp)
  /// @{
  pid_t fork(const std::function<void()>& in_child);
  void become_child(detail::ClosedTogether& unneeded) noexcept;
  /// Returns the core of a worker process whose parent's core this is.
  std::unique_ptr<Core> make_for_worker(const MakeRunner& make_runner) const;
  /// In a worker process that has a core of its own: closes what this one has open.
  void close_in_worker() noexcept;
  void serve_as_worker(const detail::WorkerRole& role);
  /// @}

 private:
  struct ReadyDescriptors {
    bool request = false;
    bool anything = false;
  };
  class ServingRole;

  bool begin_serving(const char* caller);
  bool is_drain_wanted() const noexcept { return lifecycle_.is_backlog_wanted() || drain_expected_; }
  void serve_until_stopped();
  void begin_accepting();
  void warn_of_few_descriptors() const;
  void loop();
  bool is_booting() const;
  void announce_end();
  void handle_waiting_requests();
  void collect();
  void service();
  void poll_once(time_point limit = time_point::max());
  ReadyDescriptors wait(std::optional<time_point> limit, bool for_requests);
  void throw_fatal_error();

  bool has_room() const;
  bool is_worn_out() const noexcept;
  bool wait_for_connections(time_point deadline);
  void give_sign_of_life();

  // accepting.cpp
  void begin_awaiting_clients() noexcept;
  time_point accepts_again_at() const;
  void serve_awaited_clients();
  void serve_ready_client();
  void serve_awaited(detail::AwaitedClient& client, const std::exception_ptr& error);
  void finish_awaiting_clients();
  void end_awaited_clients() noexcept;

  void begin_stop(detail::EndIdle when) noexcept;
  void begin_drain();
  std::size_t end_drain() noexcept;
  bool wait_until_done(time_point deadline);

  // backlog.cpp
  void begin_expected_drain();
  bool taking_backlog() const noexcept;
  void take_backlog();
  void serve_backlog();
  void take_unserved_backlog(time_point deadline);
  bool start_taking_backlog();
  void take_backlog_in_this_thread();

  std::size_t handle_command(detail::WorkerCommand command);

  AbstractServer& server_;
  Lifecycle lifecycle_{server_.listener_};
  detail::Descriptor wake_;  // an eventfd
  detail::LiveRequests live_requests_{[this] { wake(); }};
  detail::ConnectionsByAddress connections_by_address_;
  detail::Counters own_counters_;
  detail::Counters* counters_ = &own_counters_;
  detail::AcceptPause accept_pause_;  // used by each thread that accepts
  detail::OnceASecond may_log_rejection_;
  detail::LingerSet linger_{[this] { wake(); }};
  detail::AwaitedClients awaited_;
  bool is_child_ = false;  // it serves one request

  MakeRunner make_runner_;                      // empty: there is no mixin
  std::unique_ptr<detail::Runner> own_runner_;  // null: the one that all servers without a mixin share
  detail::Runner* runner_;

  // A worker's differ from its parent's.
  std::size_t max_connections_ = server_.options().max_connections;
  std::uint64_t accepted_before_ = 0;
  std::uint64_t max_requests_ = 0;            // after accepting this many it stops; 0: no limit
  const detail::WorkerRole* role_ = nullptr;  // null: this is no worker
  time_point next_beat_{};

  duration drain_limit_ = duration::max();  // set before serving, as are the two below
  bool drain_expected_ = false;
  std::function<void()> when_ready_;

  std::atomic<bool> takes_requests_ahead_ = false;
  std::atomic<bool> drain_hurried_ = false;
  // The serving thread's:
  duration poll_interval_ = std::chrono::milliseconds(500);
  time_point backlog_deadline_ = time_point::max();
  std::exception_ptr fatal_error_;  // also set by a loop that accepts, which has stopped accepting before this is read
};

}  // namespace sockserv::inline abi_0
