#pragma once

#include <cstddef>
#include <sockserv/export.hpp>

namespace sockserv::inline abi_0::detail {

/// Returns how many processors this program may use: fewer than there are, where it is confined by its affinity
/// (sched_setaffinity(2), a container's set of processors), or by the CPU quota of its control group (cgroups(7), as
/// containers and service managers set it), rounded up. At least 1.
SOCKSERV_EXPORT std::size_t processors() noexcept;

}  // namespace sockserv::inline abi_0::detail
