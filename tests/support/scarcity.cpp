#include "scarcity.hpp"

#include <dlfcn.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <limits>
#include <new>

namespace support {
namespace {

/// In memory that forked processes share.
struct State {
  std::atomic<Resource> resource{};
  std::atomic<std::size_t> seen = 0;
  std::atomic<std::size_t> first = 0;  // that is refused
  std::atomic<std::size_t> end = 0;    // the first after that which is not
  std::atomic<bool> struck = false;
};

void* map(void* address, std::size_t length, int protection, int flags, int descriptor, off_t offset) noexcept {
  const long result = ::syscall(SYS_mmap, address, length, protection, flags, descriptor, offset);
  return reinterpret_cast<void*>(result);  // NOLINT(performance-no-int-to-ptr): that of the system call
}

/// Null until the program has come to initialize it.
State* const state =
    new (map(nullptr, sizeof(State), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)) State();
constinit thread_local int exemptions = 0;

bool is_refused(Resource resource) noexcept {
  if (!state || exemptions > 0 || state->resource != resource || state->seen >= state->end) return false;
  const std::size_t number = ++state->seen;
  if (number < state->first || number >= state->end) return false;
  return state->struck = true;
}

}  // namespace

void Scarcity::refuse(Resource resource, std::size_t nth, std::size_t count) noexcept {
  state->resource = resource;
  state->struck = false;
  state->seen = 0;
  state->first = nth;
  state->end = nth + count;
}

void Scarcity::count(Resource resource) noexcept { refuse(resource, std::numeric_limits<std::size_t>::max(), 0); }

std::size_t Scarcity::asked() noexcept { return state->seen; }

void Scarcity::end() noexcept { state->end = 0; }

bool Scarcity::has_struck() noexcept { return state->struck; }

Scarcity::Exemption::Exemption() noexcept { ++exemptions; }
Scarcity::Exemption::~Exemption() { --exemptions; }
Scarcity::Exposure::Exposure() noexcept : exemptions_(exemptions) { exemptions = 0; }
Scarcity::Exposure::~Exposure() { exemptions = exemptions_; }

}  // namespace support

// What does the work is the runtime of a sanitizer, if there is one, and otherwise the C library.

extern "C" {

// NOLINTBEGIN(bugprone-reserved-identifier,misc-include-cleaner,readability-inconsistent-declaration-parameter-name)
void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);
[[gnu::weak]] void* ___interceptor_malloc(std::size_t);
[[gnu::weak]] void* ___interceptor_calloc(std::size_t, std::size_t);
[[gnu::weak]] void* ___interceptor_realloc(void*, std::size_t);
[[gnu::weak]] void* ___interceptor_memalign(std::size_t, std::size_t);
[[gnu::weak]] int ___interceptor_pthread_create(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
[[gnu::weak]] void* ___interceptor_mmap(void*, std::size_t, int, int, int, off_t);
// NOLINTEND(bugprone-reserved-identifier,misc-include-cleaner,readability-inconsistent-declaration-parameter-name)
}

namespace {

using support::Resource;

/// A sanitizer's runtime allocates, too, and ends the program if it cannot; so there, only operator new is refused.
bool is_sanitized() noexcept { return ___interceptor_malloc != nullptr; }

/// Calls one of the functions, unless memory is refused.
template <class Function, class... Arguments>
void* allocate(Function* of_sanitizer, Function* of_library, Arguments... arguments) noexcept {
  if (is_sanitized()) return of_sanitizer(arguments...);
  if (!support::is_refused(Resource::memory)) return of_library(arguments...);
  errno = ENOMEM;
  return nullptr;
}

}  // namespace

// NOLINTBEGIN(readability-inconsistent-declaration-parameter-name): the library's are reserved names
extern "C" {

void* malloc(std::size_t size) noexcept { return allocate(___interceptor_malloc, __libc_malloc, size); }
void* calloc(std::size_t count, std::size_t size) noexcept {
  return allocate(___interceptor_calloc, __libc_calloc, count, size);
}
void* realloc(void* old, std::size_t size) noexcept {
  return allocate(___interceptor_realloc, __libc_realloc, old, size);
}
void* aligned_alloc(std::size_t alignment, std::size_t size) noexcept {
  return allocate(___interceptor_memalign, __libc_memalign, alignment, size);
}
int posix_memalign(void** memory, std::size_t alignment, std::size_t size) noexcept {
  *memory = aligned_alloc(alignment, size);
  return *memory ? 0 : ENOMEM;
}

int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*start)(void*),
                   void* argument) noexcept {
  if (support::is_refused(Resource::thread)) return EAGAIN;
  static const auto of_library = reinterpret_cast<decltype(&pthread_create)>(::dlsym(RTLD_NEXT, "pthread_create"));
  return (___interceptor_pthread_create ? ___interceptor_pthread_create : of_library)(thread, attributes, start,
                                                                                      argument);
}

void* mmap(void* address, std::size_t length, int protection, int flags, int descriptor, off_t offset) noexcept {
  if (support::is_refused(Resource::mapping)) {
    errno = ENOMEM;
    return MAP_FAILED;
  }
  return (___interceptor_mmap ? ___interceptor_mmap : support::map)(address, length, protection, flags, descriptor,
                                                                    offset);
}
}
// NOLINTEND(readability-inconsistent-declaration-parameter-name)

#ifndef SUPPORT_KEEPS_OPERATOR_NEW
// Whoever replaces one replaces all.
// NOLINTBEGIN(cppcoreguidelines-no-malloc,misc-new-delete-overloads)
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return is_sanitized() && support::is_refused(Resource::memory) ? nullptr : std::malloc(size);
}
void* operator new(std::size_t size) {
  if (void* const memory = operator new(size, std::nothrow)) return memory;
  throw std::bad_alloc();
}
void* operator new(std::size_t size, std::align_val_t alignment) {
  const bool is_refused = is_sanitized() && support::is_refused(Resource::memory);
  void* const memory = is_refused ? nullptr : ::aligned_alloc(static_cast<std::size_t>(alignment), size);
  if (!memory) throw std::bad_alloc();
  return memory;
}
void* operator new[](std::size_t size) { return operator new(size); }
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept { return operator new(size, std::nothrow); }
void* operator new[](std::size_t size, std::align_val_t alignment) { return operator new(size, alignment); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, const std::nothrow_t&) noexcept { std::free(memory); }
void operator delete[](void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
// NOLINTEND(cppcoreguidelines-no-malloc,misc-new-delete-overloads)
#endif
