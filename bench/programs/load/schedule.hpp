#pragma once

#include <chrono>
#include <cstdint>

namespace load {

using Clock = std::chrono::steady_clock;

/// When the requests of an open load are due: at equal distances, whatever the server does.
///
/// A request that could not be sent in time, since the client's last one had not come back, is sent late, but its
/// latency counts from when it was due. Otherwise a server that stands still for a second would be charged with one
/// slow request for each client, and not with all that came in that second: the "coordinated omission" of closed loads.
class Schedule {
 public:
  /// @param rate Requests per second
  Schedule(double rate, Clock::time_point start) : distance_(1e9 / rate), start_(start) {}

  Clock::time_point due(std::uint64_t number) const {
    return start_ + std::chrono::nanoseconds(static_cast<std::int64_t>(distance_ * static_cast<double>(number)));
  }

 private:
  double distance_;  // in nanoseconds
  Clock::time_point start_;
};

}  // namespace load
