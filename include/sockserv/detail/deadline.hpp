#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <limits>
#include <optional>
#include <sockserv/detail/clock.hpp>

namespace sockserv::inline abi_0::detail {

/// The time when so much has passed since `start`; `start` if `wait` is negative, and `time_point::max()` if the clock
/// cannot say it, since a limit of "indefinitely" may be `duration::max()`.
template <class Representation, class Period>
std::chrono::steady_clock::time_point deadline_after(
    std::chrono::duration<Representation, Period> wait,
    std::chrono::steady_clock::time_point start = detail::now()) noexcept {
  using clock = std::chrono::steady_clock;
  if (wait <= wait.zero()) return start;
  if (wait >= clock::time_point::max() - start) return clock::time_point::max();
  return start + std::chrono::duration_cast<clock::duration>(wait);
}

/// The earlier of a deadline and the end of a timeout, if there is one, that starts now.
inline std::chrono::steady_clock::time_point earlier(
    std::chrono::steady_clock::time_point deadline, std::optional<std::chrono::steady_clock::duration> limit) noexcept {
  return limit ? std::min(deadline, deadline_after(*limit)) : deadline;
}

/// Returns how long poll(2) may wait until then, in its milliseconds; -1 for `time_point::max()`: indefinitely.
inline int milliseconds_until(std::chrono::steady_clock::time_point deadline) noexcept {
  if (deadline == std::chrono::steady_clock::time_point::max()) return -1;
  const std::int64_t left = std::chrono::ceil<std::chrono::milliseconds>(deadline - detail::now()).count();
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, std::numeric_limits<int>::max()));
}

}  // namespace sockserv::inline abi_0::detail
