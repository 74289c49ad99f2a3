#pragma once

#include <cerrno>

namespace sockserv::inline abi_0::detail {

/// Returns true if the call that failed last would have had to wait, and was not to, or for no longer.
inline bool would_block() noexcept { return errno == EAGAIN || errno == EWOULDBLOCK; }

}  // namespace sockserv::inline abi_0::detail
