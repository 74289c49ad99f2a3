/// What becomes of a server in a process that it forks.

#include <sockserv/server/abstract.hpp>

#include <signal.h>
#include <unistd.h>

#include <new>
#include <sockserv/detail/child_processes.hpp>
#include <sockserv/detail/input_buffer.hpp>
#include <sockserv/detail/request_scope.hpp>

#include <sockserv/error.hpp>
#include "../detail/fork.hpp"
#include "../detail/leave_to_system.hpp"

namespace sockserv {
namespace {

/// A worker process has one server, to which SIGTERM means what it means to its parent.
void stop_on_sigterm(AbstractServer& server) noexcept {
  static AbstractServer* stopped = nullptr;
  static pid_t worker = 0;
  stopped = &server;
  worker = ::getpid();
  struct sigaction action{};
  action.sa_flags = SA_RESTART | SA_ONSTACK;
  action.sa_handler = [](int signal) {
    ::getpid() == worker ? stopped->request_stop() : detail::leave_to_system(signal);
  };
  ::sigaction(SIGTERM, &action, nullptr);
}

}  // namespace

pid_t AbstractServer::fork_process(detail::ClosedTogether& unneeded) {
  const std::scoped_lock lock(connections_by_address_.mutex());  // together with those below
  const detail::Fork fork(mutex_, live_requests_.mutex());
  if (fork.child() == 0) become_child(unneeded);
  return fork.child();
}

void AbstractServer::become_child(detail::ClosedTogether& unneeded) noexcept {
  unneeded.add(wake_.release());
  detail::InputBuffer::use_memory_of_child();
}

pid_t AbstractServer::fork_worker() {
  const std::scoped_lock lock(connections_by_address_.mutex());  // together with those below
  const detail::Fork fork(mutex_, live_requests_.mutex());
  if (fork.child() == 0 && detail::error_of([this] { become_worker(); })) {
    detail::exit_child(1);  // its parent will start another one
  }
  return fork.child();
}

void AbstractServer::become_worker() {
  wake_ = make_wake();
  if (!wake_) detail::throw_error(detail::last_system_error(), "eventfd");  // nobody could stop it
  stop_requested_ = false;
  taking_backlog_ = false;
  drain_expected_ = false;
  drain_hurried_ = false;
  stopped_at_ = 0;
  when_ready_ = nullptr;
  serving_ = false;
  backlog_taken_ = false;
  close_after_serving_ = false;
  new (&serving_ended_) std::condition_variable();  // the old one counts threads that wait in the parent
  live_requests_.forget();
  connections_by_address_.forget();
  static_cast<void>(own_runner_.release());  // left as it is: its threads are the parent's, and may have held its locks
  if (make_runner_) use_runner(std::move(make_runner_));
  detail::RequestScope::current() = nullptr;
  stop_on_sigterm(*this);
}

void AbstractServer::serve_as_worker() {
  serve_forever(poll_interval_);
  wait_until_done(time_point::max());
}

}  // namespace sockserv
