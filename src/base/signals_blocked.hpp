#pragma once

#include <pthread.h>
#include <signal.h>

namespace sockserv::inline abi_0::detail {

/// Keeps signals from a thread that is started meanwhile, so that they interrupt only threads of the program's own.
class SignalsBlocked {
 public:
  SignalsBlocked() noexcept {
    sigset_t all;
    sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;
  ~SignalsBlocked() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_;
};

}  // namespace sockserv::inline abi_0::detail
