/// What becomes of a server in a process that it forks.

#include <signal.h>
#include <unistd.h>

#include <sockserv/detail/input_buffer.hpp>
#include <sockserv/detail/request_scope.hpp>
#include <sockserv/error.hpp>

#include "../base/closed_together.hpp"
#include "../base/exit_child.hpp"
#include "../base/leave_to_system.hpp"
#include "core.hpp"
#include "fork.hpp"

namespace sockserv::inline abi_0 {
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
  return core_->fork([&, this] {
    listener_.become_child(unneeded);
    core_->become_child(unneeded);
  });
}

pid_t AbstractServer::fork_worker(const MakeRunner& make_runner) {
  return core_->fork([&, this] {
    // If that fails, the parent starts another worker.
    if (detail::error_of([&, this] { become_worker(make_runner); })) detail::exit_child(1);
  });
}

void AbstractServer::become_worker(const MakeRunner& make_runner) {
  std::unique_ptr<Core> own = core_->make_for_worker(make_runner);
  listener_.become_worker();
  core_->close_in_worker();
  static_cast<void>(core_.release());  // left as it is: see Core
  core_ = std::move(own);
  detail::RequestScope::current() = nullptr;
  stop_on_sigterm(*this);
}

void AbstractServer::serve_as_worker(const detail::WorkerRole& role) { core_->serve_as_worker(role); }

pid_t AbstractServer::Core::fork(const std::function<void()>& in_child) {
  const std::scoped_lock lock(connections_by_address_.mutex(), linger_.mutex());  // together with those below
  const detail::Fork fork(lifecycle_.mutex(), live_requests_.mutex());
  if (fork.child() == 0) in_child();
  return fork.child();
}

/// Of a process that serves one request, and so goes on with this core.
void AbstractServer::Core::become_child(detail::ClosedTogether& unneeded) noexcept {
  is_child_ = true;
  unneeded.add(wake_.release());
  linger_.become_child(unneeded);
  awaited_.become_child(unneeded);
  detail::InputBuffer::use_memory_of_child();
}

std::unique_ptr<AbstractServer::Core> AbstractServer::Core::make_for_worker(const MakeRunner& make_runner) const {
  auto core = std::make_unique<Core>(server_, make_runner);
  core->poll_interval_ = poll_interval_;
  return core;
}

void AbstractServer::Core::close_in_worker() noexcept {
  wake_.reset();
  live_requests_.close_in_child();
  linger_.close_in_child();
  awaited_.close_in_child();
}

void AbstractServer::Core::serve_as_worker(const detail::WorkerRole& role) {
  role_ = &role;
  counters_ = &role.counters;
  live_requests_.count_in(role.running);
  max_connections_ = role.max_connections;
  accepted_before_ = role.counters.accepted;
  max_requests_ = role.max_requests;
  serve_forever(poll_interval_);
  wait_until_done(time_point::max());
}

/// Called in the worker's thread that receives the commands of its parent.
std::size_t AbstractServer::Core::handle_command(detail::WorkerCommand command) {
  switch (command) {
    case detail::WorkerCommand::finish:
      begin_stop(detail::EndIdle::after_grace);
      return 0;
    case detail::WorkerCommand::stop:
      begin_stop(detail::EndIdle::at_once);
      return 0;
    case detail::WorkerCommand::drain:
      begin_drain();
      return 0;
    case detail::WorkerCommand::abort:
      return end_drain();
  }
  return 0;
}

}  // namespace sockserv::inline abi_0
