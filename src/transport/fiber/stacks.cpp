#include "stacks.hpp"

#include <unistd.h>

#include <sockserv/detail/settings.hpp>
#include <sockserv/error.hpp>
#include <string>

#include "sanitizers.hpp"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

namespace sockserv::inline abi_0::fiber {
namespace {

[[noreturn]] void throw_out_of_memory(const char* operation) {
  detail::throw_error(detail::last_system_error(),
                      std::string("no memory for another fiber's stack: ") + operation +
                          "; if the process has many, raise the sysctl vm.max_map_count (or vm.overcommit_memory), or "
                          "set ServerOptions::max_connections");
}

}  // namespace

Guard best_guard() {
  static const Guard best = [] {
    const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    void* const probe = ::mmap(nullptr, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (probe == MAP_FAILED) return Guard::protect;
    const bool installed = ::madvise(probe, page, MADV_GUARD_INSTALL) == 0;
    ::munmap(probe, page);
    return installed ? Guard::install : Guard::protect;
  }();
  return best;
}

Stacks::Stacks(std::size_t size, Guard guard) : guard_(guard) {
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  size_ = ((size + page - 1) / page | 1) * page;
}

Stacks::~Stacks() {
  for (char* const slab : slabs_) {
    forget_frames(slab, slab_stacks * stride());
    ::munmap(slab, slab_stacks * stride());
  }
}

Stack Stacks::make() {
  if (left_in_slab_ == 0) make_slab();
  char* const bottom = slabs_.back() + (slab_stacks - left_in_slab_) * stride();
  // Memory that may not be locked cannot have guards installed, hence the second attempt.
  if ((guard_ == Guard::protect || ::madvise(bottom, guard_size, MADV_GUARD_INSTALL) != 0) &&
      ::mprotect(bottom, guard_size, PROT_NONE) != 0) {
    throw_out_of_memory("mprotect");
  }
  --left_in_slab_;
  return {bottom + stride(), size_};
}

void Stacks::make_slab() {
  slabs_.reserve(slabs_.size() + 1);
  void* const slab = ::mmap(nullptr, slab_stacks * stride(), PROT_READ | PROT_WRITE, mapping_flags, -1, 0);
  if (slab == MAP_FAILED) throw_out_of_memory("mmap");
  slabs_.push_back(static_cast<char*>(slab));
  left_in_slab_ = slab_stacks;
  // A huge page would give each stack memory that it never touches.
  ::madvise(slab, slab_stacks * stride(), MADV_NOHUGEPAGE);
}

}  // namespace sockserv::inline abi_0::fiber

void sockserv::detail::check_fiber_stack(std::size_t stack_size) {
  check_stack_size(stack_size, smallest_stack, fiber::Stacks::slab_stacks, fiber::Stacks::mapping_flags);
}
