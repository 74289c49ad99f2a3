#pragma once

#include <atomic>
#include <cstdint>

namespace sockserv::detail {

/// What a server counts, from its beginning; `ServerStats` says what each means. Nothing but numbers, so that it can
/// lie in memory that processes share.
struct Counters {
  std::atomic<std::uint64_t> accepted = 0;
  std::atomic<std::uint64_t> handler_errors = 0;
  std::atomic<std::uint64_t> peers_gone = 0;
  std::atomic<std::uint64_t> accept_errors = 0;
  std::atomic<std::uint64_t> rejected = 0;
};

/// Counts events that no other memory access depends on.
inline void count(std::atomic<std::uint64_t>& counter, std::uint64_t events = 1) noexcept {
  counter.fetch_add(events, std::memory_order_relaxed);
}

}  // namespace sockserv::detail
