#pragma once

#include <algorithm>
#include <chrono>
#include <limits>
#include <optional>
#include <sockserv/detail/clock.hpp>
#include <sockserv/detail/deadline.hpp>

namespace sockserv::inline abi_0::detail {

/// How long an operation may wait: until a deadline, for a timeout, or indefinitely. A timeout becomes a deadline when
/// the operation begins to wait: most need not wait, and so read no clock.
class WaitLimit {
 public:
  using duration = time_point::duration;

  /// Indefinitely.
  constexpr WaitLimit() noexcept = default;
  /// Until a deadline; `no_deadline`: indefinitely.
  explicit constexpr WaitLimit(time_point deadline) noexcept {
    if (deadline != no_deadline) value_ = std::max(deadline.time_since_epoch().count(), rep{0});
  }
  /// For a timeout, which must be positive; no value: indefinitely.
  explicit constexpr WaitLimit(std::optional<duration> timeout) noexcept {
    if (timeout) value_ = -timeout->count();
  }

  /// Not at all: an operation that would have to wait reports `errc::timed_out`.
  static constexpr WaitLimit at_once() noexcept { return WaitLimit(time_point()); }

  constexpr bool is_at_once() const noexcept { return value_ == 0; }
  /// Returns true for a point in time; false for a timeout, and for no limit.
  constexpr bool is_deadline() const noexcept { return value_ >= 0; }
  constexpr std::optional<duration> timeout() const noexcept {
    return value_ < 0 && value_ != indefinite ? std::optional(duration(-value_)) : std::nullopt;
  }

  bool operator==(const WaitLimit&) const noexcept = default;

  /// Returns the deadline. A timeout begins with the first call.
  time_point deadline() noexcept {
    if (value_ == indefinite) return no_deadline;
    if (value_ >= 0) return time_point(duration(value_));
    const time_point end = deadline_after(duration(-value_));
    *this = WaitLimit(end);
    return end;
  }

 private:
  using rep = duration::rep;
  static constexpr rep indefinite = std::numeric_limits<rep>::min();

  rep value_ = indefinite;  // or that of a deadline; negative: of a timeout
};

}  // namespace sockserv::inline abi_0::detail
