#pragma once

#include <atomic>
#include <chrono>
#include <sockserv/detail/clock.hpp>

namespace sockserv::inline abi_0::detail {

/// Says yes at most once a second: for lines in the log that any number of clients could cause.
///
/// @par Thread safety
/// Safe.
class OnceASecond {
  using clock = std::chrono::steady_clock;

 public:
  bool operator()() noexcept {
    const clock::rep now = detail::now().time_since_epoch().count();
    clock::rep next = next_;
    return now >= next && next_.compare_exchange_strong(next, now + clock::duration(std::chrono::seconds(1)).count());
  }

 private:
  std::atomic<clock::rep> next_ = 0;
};

}  // namespace sockserv::inline abi_0::detail
