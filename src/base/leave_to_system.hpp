#pragma once

#include <signal.h>

namespace sockserv::inline abi_0::detail {

/// Gives a signal its default action, and raises it again. For signal handlers that find themselves in a process that a
/// request handler forked: the signal is meant for that process, not for the server. Async-signal-safe.
inline void leave_to_system(int signal) noexcept {
  ::signal(signal, SIG_DFL);
  ::raise(signal);
}

}  // namespace sockserv::inline abi_0::detail
