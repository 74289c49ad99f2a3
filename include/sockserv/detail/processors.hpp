#pragma once

#include <cstddef>

namespace sockserv::detail {

/// How many processors this program may use: fewer than there are, where somebody has confined it
/// (sched_setaffinity(2), a container's set of processors). At least 1.
std::size_t processors() noexcept;

}  // namespace sockserv::detail
