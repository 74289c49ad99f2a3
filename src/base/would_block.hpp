#pragma once

#include <cerrno>

namespace sockserv::inline abi_0::detail {

/// Returns true if the last call of the system failed because it would have had to wait, or to wait longer.
inline bool would_block() noexcept { return errno == EAGAIN || errno == EWOULDBLOCK; }

}  // namespace sockserv::inline abi_0::detail
