#pragma once

#include <signal.h>

#include <cstddef>

namespace sockserv::inline abi_0::fiber {

/// Makes the current thread say which fiber's stack has overflowed, should one, before the program ends of it.
///
/// It handles SIGSEGV and SIGBUS, for as long as some thread has such a watch, on a stack of its own. What is no
/// overflow goes to the handler that these signals had before.
class OverflowWatch {
 public:
  /// How large that stack has to be.
  static constexpr std::size_t stack_size = 65536;

  /// The stack must outlive the watch; it is not made here, where the thread runs already, because that may fail.
  explicit OverflowWatch(char* stack) noexcept;
  OverflowWatch(const OverflowWatch&) = delete;
  OverflowWatch& operator=(const OverflowWatch&) = delete;
  ~OverflowWatch();

 private:
  stack_t stack_before_{};
};

}  // namespace sockserv::inline abi_0::fiber
