#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <vector>

namespace sockserv::inline abi_0::fiber {

/// The memory of one stack: `size` bytes that end at `top`, and below them a guard, which ends the program when it is
/// touched instead of letting one stack run into another.
struct Stack {
  char* top;
  std::size_t size;
};

/// How the memory below a stack is made untouchable.
enum class Guard {
  install,  ///< `MADV_GUARD_INSTALL` (Linux 6.13): costs no mapping.
  protect,  ///< mprotect(2): two mappings for each stack, of which a process may have `vm.max_map_count`.
};

/// The best that this kernel can do.
Guard best_guard();

/// Makes stacks, in slabs of many, and keeps them until it goes: fibers are used again and again.
///
/// Memory is taken from the system only where a stack is touched, a page at a time.
///
/// @par Thread safety
/// Unsafe: each loop has its own.
class Stacks {
 public:
  /// Large enough that a function with a big frame hits it, and does not step over.
  static constexpr std::size_t guard_size = 65536;

  /// How many stacks are taken from the system at a time, and how.
  static constexpr std::size_t slab_stacks = 32;
  static constexpr int mapping_flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK;

  /// Stacks of `size` bytes, rounded up to an odd number of pages. Guards have an even number, so the tops of stacks
  /// are an odd number apart, and their translations spread over all sets of the processor's translation cache (TLB),
  /// whose index is the low bits of the page's number.
  explicit Stacks(std::size_t size, Guard guard = best_guard());
  Stacks(const Stacks&) = delete;
  Stacks& operator=(const Stacks&) = delete;
  ~Stacks();

  /// A new stack.
  /// @throws boost::system::system_error that says which limit of the system is in the way.
  Stack make();

 private:
  std::size_t stride() const noexcept { return size_ + guard_size; }
  void make_slab();

  std::size_t size_;
  Guard guard_;
  std::vector<char*> slabs_;
  std::size_t left_in_slab_ = 0;
};

}  // namespace sockserv::inline abi_0::fiber
