#include "fork.hpp"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <sockserv/detail/contexts.hpp>
#include <sockserv/error.hpp>

#include "../base/leave_to_system.hpp"

namespace sockserv::inline abi_0::detail {
namespace {

bool has_handler(const struct sigaction& action) noexcept {
  return (action.sa_flags & SA_SIGINFO) != 0 || (action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN);
}

std::atomic<pid_t> parent = 0;

/// Ends a child if its parent says so, or is gone. In a process that the child forked, the signal is not the child's.
void handle_sigterm(int signal, siginfo_t* information, void*) {
  if (information->si_pid == parent || ::getppid() != parent) leave_to_system(signal);
}

/// A child inherits the handlers by which its parent learns that it is to stop; in the child they would tell nobody.
/// SIGINT comes from a terminal to parent and children at once, SIGTERM from a service manager: where the parent
/// handles it, it is the parent who decides what becomes of its children.
void let_parent_end_child() noexcept {
  struct sigaction by_parent{};
  by_parent.sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK;
  by_parent.sa_sigaction = handle_sigterm;
  struct sigaction terminate{};
  // One call where the parent handles it, as it does in run().
  if (::sigaction(SIGTERM, &by_parent, &terminate) == 0 && !has_handler(terminate)) ::signal(SIGTERM, SIG_DFL);
  struct sigaction ignored{};
  ignored.sa_handler = SIG_IGN;
  struct sigaction interrupt{};
  if (::sigaction(SIGINT, &ignored, &interrupt) == 0 && interrupt.sa_handler == SIG_DFL) {
    ::sigaction(SIGINT, &interrupt, nullptr);
  }
}

}  // namespace

void Fork::begin() noexcept { parent = ::getpid(); }

Fork::Fork(std::mutex& first, std::mutex& second) {
  sigset_t all;
  sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &mask_);
  {
    const std::scoped_lock lock(first, second);
    child_ = ::fork();
  }
  if (child_ < 0) {
    const error_code error = last_system_error();
    ::pthread_sigmask(SIG_SETMASK, &mask_, nullptr);
    throw_error(error, "fork");
  }
  if (child_ == 0) {
    let_parent_end_child();
    abandon_contexts();
    sigdelset(&mask_, SIGTERM);
  }
}

Fork::~Fork() { ::pthread_sigmask(SIG_SETMASK, &mask_, nullptr); }

}  // namespace sockserv::inline abi_0::detail
