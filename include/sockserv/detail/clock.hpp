#pragma once

#include <chrono>

namespace sockserv::inline abi_0::detail {

using time_point = std::chrono::steady_clock::time_point;

/// The deadline of what may wait indefinitely.
inline constexpr time_point no_deadline = time_point::max();

/// Returns the time. Nothing else in the library reads a steady clock, so that time can be simulated.
inline time_point now() noexcept { return std::chrono::steady_clock::now(); }

}  // namespace sockserv::inline abi_0::detail
