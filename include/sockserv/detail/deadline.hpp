#pragma once

#include <algorithm>
#include <chrono>
#include <optional>
#include <sockserv/detail/clock.hpp>

namespace sockserv::detail {

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

}  // namespace sockserv::detail
