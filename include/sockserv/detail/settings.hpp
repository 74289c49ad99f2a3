#pragma once

#include <chrono>
#include <cstddef>
#include <limits>
#include <sockserv/export.hpp>
#include <string>

namespace sockserv::inline abi_0::detail {

/// The most threads or processes that a server starts before there is a request: as many as Linux can have processors.
inline constexpr std::size_t most_processors = 8192;

/// The smallest stack of a thread or a fiber: enough for a simple handler and its exception.
inline constexpr std::size_t smallest_stack = 16384;

/// @throws std::invalid_argument that names the setting, its value and its bounds.
SOCKSERV_EXPORT void require_within(const std::string& name, std::size_t value, std::size_t least, std::size_t most);

/// @throws std::invalid_argument that names the setting, if it is 0.
inline void require_at_least_one(const std::string& name, std::size_t value) {
  require_within(name, value, 1, std::numeric_limits<std::size_t>::max());
}

/// @throws std::invalid_argument that names the setting, if the length of time is zero or less.
SOCKSERV_EXPORT void require_positive(const std::string& name, std::chrono::steady_clock::duration value,
                                      const char* advice = "");

/// @throws std::invalid_argument that names the setting, if the length of time is less than zero.
SOCKSERV_EXPORT void require_not_negative(const std::string& name, std::chrono::steady_clock::duration value);

/// Asks the system for the memory of `count` stacks, with these flags of mmap(2), and gives it back.
/// @throws std::invalid_argument if a stack of this size is smaller than `least`, or if there is no such memory.
void check_stack_size(std::size_t size, std::size_t least, std::size_t count, int flags);

/// @throws std::invalid_argument if there can be no thread whose stack has this size; 0 is the system's default.
SOCKSERV_EXPORT void check_thread_stack(std::size_t stack_size);

/// @throws std::invalid_argument if there can be no fiber whose stack has this size.
SOCKSERV_EXPORT void check_fiber_stack(std::size_t stack_size);

}  // namespace sockserv::inline abi_0::detail
