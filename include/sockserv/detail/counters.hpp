#pragma once

#include <atomic>
#include <cstdint>

namespace sockserv::inline abi_0::detail {

/// What a server counts, from its beginning; `ServerStats` says what each means. Nothing but numbers, so that it can
/// lie in memory that processes share.
struct Counters {
  std::atomic<std::uint64_t> accepted = 0;
  std::atomic<std::uint64_t> completed = 0;

  std::atomic<std::uint64_t> rejected_full = 0;
  std::atomic<std::uint64_t> rejected_per_address = 0;
  std::atomic<std::uint64_t> rejected_unverified = 0;

  std::atomic<std::uint64_t> aborted_idle_timeout = 0;
  std::atomic<std::uint64_t> aborted_request_timeout = 0;
  std::atomic<std::uint64_t> aborted_prepare_timeout = 0;
  std::atomic<std::uint64_t> aborted_receive_rate = 0;
  std::atomic<std::uint64_t> aborted_drain = 0;

  std::atomic<std::uint64_t> authentication_failures = 0;

  std::atomic<std::uint64_t> handler_errors = 0;
  std::atomic<std::uint64_t> peers_gone = 0;
  std::atomic<std::uint64_t> accept_errors = 0;

  // Of requests that have ended, and of live ones in steps of LiveRequest::fold_size.
  std::atomic<std::uint64_t> bytes_in = 0;
  std::atomic<std::uint64_t> bytes_out = 0;
};

/// Counts events that no other memory access depends on.
inline void count(std::atomic<std::uint64_t>& counter, std::uint64_t events = 1) noexcept {
  counter.fetch_add(events, std::memory_order_relaxed);
}

}  // namespace sockserv::inline abi_0::detail
