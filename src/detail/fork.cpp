#include "fork.hpp"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <sockserv/detail/contexts.hpp>
#include <sockserv/error.hpp>

namespace sockserv::detail {
namespace {

/// A child inherits the handlers by which its parent learns that it is to stop; in the child they would tell nobody.
/// SIGTERM ends it. SIGINT comes from a terminal to parent and children at once: where the parent handles it, it is the
/// parent who decides what becomes of its children.
void let_signals_end_child() noexcept {
  ::signal(SIGTERM, SIG_DFL);
  struct sigaction interrupt{};
  if (::sigaction(SIGINT, nullptr, &interrupt) == 0 && interrupt.sa_handler != SIG_DFL) ::signal(SIGINT, SIG_IGN);
}

}  // namespace

pid_t fork_holding(std::mutex& first, std::mutex& second, const std::function<void()>& become_child) {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  const pid_t child = [&] {
    const std::scoped_lock lock(first, second);
    return ::fork();
  }();
  const error_code error = child < 0 ? last_system_error() : error_code();
  if (child == 0) {
    let_signals_end_child();
    abandon_contexts();
    sigdelset(&before, SIGTERM);
    become_child();
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (error) throw_error(error, "fork");
  return child;
}

}  // namespace sockserv::detail
