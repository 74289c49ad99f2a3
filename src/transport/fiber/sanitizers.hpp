#pragma once

/// What AddressSanitizer and ThreadSanitizer must be told about switching between stacks; nothing in other builds.

#include <cstddef>

#include "../../base/sanitized.hpp"

#ifdef SOCKSERV_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#elif defined(SOCKSERV_TSAN)
#include <sanitizer/tsan_interface.h>
#endif

namespace sockserv::inline abi_0::fiber {

/// Has the memory of stacks, which is about to be given back, be like any other: fibers end in the middle of frames,
/// and the next owner of the memory would be told of those.
inline void forget_frames([[maybe_unused]] const void* memory, [[maybe_unused]] std::size_t size) noexcept {
#ifdef SOCKSERV_ASAN
  __asan_unpoison_memory_region(memory, size);
#endif
}

/// One stack, as the sanitizers know it. Each switch is announced before it, on the stack that is left, and confirmed
/// after it, on the one that has been reached; for the last one of a stack that ends, there are functions of their own.
class SanitizedStack {
 public:
  SanitizedStack(const SanitizedStack&) = delete;
  SanitizedStack& operator=(const SanitizedStack&) = delete;

#ifdef SOCKSERV_ASAN
  /// The stack of the current thread; its bounds are learned with the first switch.
  SanitizedStack() noexcept = default;
  SanitizedStack(const void* bottom, std::size_t size) noexcept : bottom_(bottom), size_(size) {}

  void about_to_switch_to(SanitizedStack& other) noexcept {
    __sanitizer_start_switch_fiber(&fake_stack_, other.bottom_, other.size_);
  }
  void has_switched_from(SanitizedStack& other) noexcept {
    __sanitizer_finish_switch_fiber(fake_stack_, &other.bottom_, &other.size_);
  }
  void about_to_end_for(SanitizedStack& other) noexcept { about_to_switch_to(other); }
  // The other stack's frames were in use to the last moment, so what was noted of them is only freed now.
  void has_outlived(SanitizedStack& other) noexcept {
    has_switched_from(other);
    about_to_switch_to(other);
    __sanitizer_finish_switch_fiber(other.fake_stack_, nullptr, nullptr);
    __sanitizer_start_switch_fiber(nullptr, bottom_, size_);
    __sanitizer_finish_switch_fiber(fake_stack_, nullptr, nullptr);
  }

 private:
  void* fake_stack_ = nullptr;
  const void* bottom_ = nullptr;
  std::size_t size_ = 0;

#elif defined(SOCKSERV_TSAN)
  SanitizedStack() noexcept : fiber_(__tsan_get_current_fiber()), owned_(false) {}
  SanitizedStack(const void*, std::size_t) noexcept : fiber_(__tsan_create_fiber(0)), owned_(true) {}
  ~SanitizedStack() {
    if (owned_) __tsan_destroy_fiber(fiber_);
  }

  // ThreadSanitizer notes each entry to a function and each return from one. These two would enter on one stack and
  // return on another, so they must be no functions of their own. For the same reason a stack that ends is left only
  // afterwards.
  [[gnu::always_inline]] void about_to_switch_to(SanitizedStack& other) noexcept {
    __tsan_switch_to_fiber(other.fiber_, 0);
  }
  void has_switched_from(SanitizedStack&) noexcept {}
  void about_to_end_for(SanitizedStack&) noexcept {}
  [[gnu::always_inline]] void has_outlived(SanitizedStack&) noexcept { __tsan_switch_to_fiber(fiber_, 0); }

 private:
  void* fiber_;
  bool owned_;

#else
  SanitizedStack() noexcept = default;
  SanitizedStack(const void*, std::size_t) noexcept {}
  void about_to_switch_to(SanitizedStack&) noexcept {}
  void has_switched_from(SanitizedStack&) noexcept {}
  void about_to_end_for(SanitizedStack&) noexcept {}
  void has_outlived(SanitizedStack&) noexcept {}
#endif
};

}  // namespace sockserv::inline abi_0::fiber
