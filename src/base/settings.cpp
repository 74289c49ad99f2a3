#include <sockserv/detail/settings.hpp>

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <limits>
#include <sockserv/error.hpp>
#include <stdexcept>

namespace sockserv::inline abi_0::detail {
namespace {

using std::chrono::steady_clock;

/// A smaller stack is not worth asking the system whether it has room for it.
constexpr std::size_t large_stack = std::size_t{16} << 20;

[[noreturn]] void refuse(const std::string& name, std::size_t value, const std::string& reason) {
  throw std::invalid_argument(name + " is " + std::to_string(value) + "; " + reason);
}

}  // namespace

void require_within(const std::string& name, std::size_t value, std::size_t least, std::size_t most) {
  if (value < least) refuse(name, value, "it must be at least " + std::to_string(least));
  if (value > most) refuse(name, value, "it must be at most " + std::to_string(most));
}

void require_positive(const std::string& name, steady_clock::duration value, const char* advice) {
  if (value <= steady_clock::duration::zero()) throw std::invalid_argument(name + " must be positive" + advice);
}

void require_not_negative(const std::string& name, steady_clock::duration value) {
  if (value < steady_clock::duration::zero()) throw std::invalid_argument(name + " is negative");
}

void check_stack_size(std::size_t size, std::size_t least, std::size_t count, int flags) {
  if (size < least) refuse("stack_size", size, "it must be at least " + std::to_string(least) + " bytes");
  if (size < large_stack) return;
  // What is rounded up or added below must not overflow.
  const bool fits = size <= std::numeric_limits<std::size_t>::max() / 2 / count;
  const std::size_t all = size * count;
  void* const memory = fits ? ::mmap(nullptr, all, PROT_READ | PROT_WRITE, flags, -1, 0) : MAP_FAILED;
  if (memory == MAP_FAILED) refuse("stack_size", size, "the system has no memory for a stack of this size");
  ::munmap(memory, all);
}

void check_thread_stack(std::size_t stack_size) {
  if (stack_size == 0) return;
  // What a thread needs for its thread-local variables is part of its stack.
  const long least = ::sysconf(_SC_THREAD_STACK_MIN);
  check_stack_size(stack_size, std::max(smallest_stack, static_cast<std::size_t>(std::max(least, 0L))), 1,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK);
}

}  // namespace sockserv::inline abi_0::detail
