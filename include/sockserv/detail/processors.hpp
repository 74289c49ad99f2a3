#pragma once

#include <cstddef>
#include <sockserv/export.hpp>

namespace sockserv::inline abi_0::detail {

/// How many processors this program may use: fewer than there are, where somebody has confined it
/// (sched_setaffinity(2), a container's set of processors). At least 1.
SOCKSERV_EXPORT std::size_t processors() noexcept;

}  // namespace sockserv::inline abi_0::detail
