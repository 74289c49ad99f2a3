#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace load {

/// Counts durations in buckets whose width grows with the value, as an HDR histogram does: from a nanosecond to
/// centuries, in memory of one size, each value known to better than 0.8 %.
///
///     0 … 255 ns: a bucket for each        256 … 511: 128 buckets of 2        512 … 1023: 128 buckets of 4 …
class Histogram {
 public:
  void record(std::chrono::nanoseconds value) noexcept {
    ++counts_[bucket_of(static_cast<std::uint64_t>(value.count()))];
    ++total_;
    max_ = std::max(max_, value);
  }

  std::uint64_t count() const noexcept { return total_; }
  std::chrono::nanoseconds max() const noexcept { return max_; }

  /// The value that this share of all values, in percent, does not exceed. Zero if there are none.
  std::chrono::nanoseconds percentile(double percent) const noexcept {
    const auto wanted = static_cast<std::uint64_t>(std::ceil(static_cast<double>(total_) * percent / 100));
    std::uint64_t seen = 0;
    for (std::size_t bucket = 0; bucket < counts_.size(); ++bucket) {
      seen += counts_[bucket];
      if (counts_[bucket] > 0 && seen >= wanted) return std::min(max_, highest_in(bucket));
    }
    return max_;
  }

  static constexpr std::size_t bucket_of(std::uint64_t value) noexcept {
    const int shift = std::max(0, static_cast<int>(std::bit_width(value)) - (precision + 1));
    return (static_cast<std::size_t>(shift) << precision) + (value >> shift);
  }
  static constexpr std::chrono::nanoseconds highest_in(std::size_t bucket) noexcept {
    const std::size_t shift = std::max<std::size_t>(1, bucket >> precision) - 1;
    const std::uint64_t leading = bucket - (shift << precision);
    return std::chrono::nanoseconds(((leading + 1) << shift) - 1);
  }

 private:
  static constexpr int precision = 7;  // bits kept of each value behind its leading one
  static constexpr std::size_t buckets = (64 - precision + 1) << precision;

  std::array<std::uint64_t, buckets> counts_{};
  std::uint64_t total_ = 0;
  std::chrono::nanoseconds max_{};
};

static_assert(Histogram::bucket_of(0) == 0 && Histogram::bucket_of(255) == 255);
static_assert(Histogram::bucket_of(256) == 256 && Histogram::bucket_of(257) == 256);
static_assert(Histogram::bucket_of(511) + 1 == Histogram::bucket_of(512));
static_assert(Histogram::highest_in(Histogram::bucket_of(255)).count() == 255);
static_assert(Histogram::highest_in(Histogram::bucket_of(1'000'000)).count() < 1'008'000);

}  // namespace load
