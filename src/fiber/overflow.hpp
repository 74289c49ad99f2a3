#pragma once

#include <signal.h>

#include <memory>

namespace sockserv::fiber {

/// Makes the current thread say which fiber's stack has overflowed, should one, before the program ends of it.
///
/// It handles SIGSEGV and SIGBUS, for as long as some thread has such a watch, on a stack of its own. What is no
/// overflow goes to whoever handled these signals before.
class OverflowWatch {
 public:
  OverflowWatch();
  OverflowWatch(const OverflowWatch&) = delete;
  OverflowWatch& operator=(const OverflowWatch&) = delete;
  ~OverflowWatch();

 private:
  std::unique_ptr<char[]> stack_;
  stack_t stack_before_{};
};

}  // namespace sockserv::fiber
