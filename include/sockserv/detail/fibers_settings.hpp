#pragma once

#include <chrono>
#include <cstddef>
#include <typeinfo>

namespace sockserv::inline abi_0::detail {

/// What a `FiberMixIn` says of its fibers, and of the threads that run them.
struct FibersSettings {
  std::size_t loops = 1;
  std::size_t stack_size = 0;                             ///< Of each fiber, in bytes.
  std::chrono::steady_clock::duration stall_threshold{};  ///< Zero: nobody looks.
  std::chrono::steady_clock::duration busy_poll{};        ///< Zero: a loop without work sleeps at once.
  const std::type_info* handler = &typeid(void);          ///< Its class, for messages.
  /// A read that did not fill its buffer has emptied the socket, so that the next one need not be tried: true of TCP,
  /// whose bytes have no bounds.
  bool short_read_empties = false;
};

}  // namespace sockserv::inline abi_0::detail
