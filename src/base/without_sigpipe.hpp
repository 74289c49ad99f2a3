#pragma once

#include <pthread.h>
#include <signal.h>

#include <ctime>

namespace sockserv::inline abi_0::detail {

/// Keeps SIGPIPE and SIGTTOU from this thread while it writes, so that a reader that has gone is an error (EPIPE) and a
/// terminal never stops the program. Call `drop()` after EPIPE: it discards the SIGPIPE that this write caused.
class WithoutSigpipe {
 public:
  WithoutSigpipe() noexcept {
    sigset_t blocked;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGPIPE);
    sigaddset(&blocked, SIGTTOU);
    ::pthread_sigmask(SIG_BLOCK, &blocked, &before_);
    was_pending_ = sigismember(&before_, SIGPIPE) == 1 && is_pending();
  }
  WithoutSigpipe(const WithoutSigpipe&) = delete;
  WithoutSigpipe& operator=(const WithoutSigpipe&) = delete;
  ~WithoutSigpipe() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

  void drop() const noexcept {
    if (was_pending_) return;
    sigset_t sigpipe;
    sigemptyset(&sigpipe);
    sigaddset(&sigpipe, SIGPIPE);
    constexpr timespec at_once{};
    ::sigtimedwait(&sigpipe, nullptr, &at_once);
  }

 private:
  static bool is_pending() noexcept {
    sigset_t pending;
    sigemptyset(&pending);
    ::sigpending(&pending);
    return sigismember(&pending, SIGPIPE) == 1;
  }

  sigset_t before_{};
  bool was_pending_ = false;  // and is somebody else's to take
};

}  // namespace sockserv::inline abi_0::detail
