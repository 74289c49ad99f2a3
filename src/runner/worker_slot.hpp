#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <sockserv/detail/counters.hpp>

namespace sockserv::inline abi_0::detail {

/// What a worker shows its parent and siblings, in memory that they share. Workers that follow one another in one slot
/// use it in turn, so what those that exited had counted is kept.
struct alignas(64) WorkerSlot {  // a cache line or more, so that workers do not hinder each other
  Counters counters;
  std::atomic<std::size_t> running = 0;  // requests
  std::atomic<bool> ready = false;
  std::atomic<std::uint64_t> beats = 0;  // signs of life; 0: the worker does not serve, and so gives none
};

}  // namespace sockserv::inline abi_0::detail
