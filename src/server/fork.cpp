#include "fork.hpp"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <sockserv/detail/contexts.hpp>
#include <sockserv/error.hpp>

namespace sockserv::inline abi_0::detail {
namespace {

/// A child inherits the handlers by which its parent learns that it is to stop; in the child they would tell nobody.
/// SIGTERM ends it. SIGINT comes from a terminal to parent and children at once: where the parent handles it, it is the
/// parent who decides what becomes of its children.
void let_signals_end_child() noexcept {
  ::signal(SIGTERM, SIG_DFL);
  struct sigaction ignored{};
  ignored.sa_handler = SIG_IGN;
  struct sigaction interrupt{};
  // One call where the parent handles it, as it does in run().
  if (::sigaction(SIGINT, &ignored, &interrupt) == 0 && interrupt.sa_handler == SIG_DFL) {
    ::sigaction(SIGINT, &interrupt, nullptr);
  }
}

}  // namespace

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
    let_signals_end_child();
    abandon_contexts();
    sigdelset(&mask_, SIGTERM);
  }
}

Fork::~Fork() { ::pthread_sigmask(SIG_SETMASK, &mask_, nullptr); }

}  // namespace sockserv::inline abi_0::detail
