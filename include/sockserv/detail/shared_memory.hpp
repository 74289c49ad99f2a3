#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <memory>
#include <new>
#include <sockserv/error.hpp>
#include <span>
#include <type_traits>
#include <utility>

namespace sockserv::inline abi_0::detail {

/// Values that a process shares with the children that it forks from then on; each process unmaps its own.
///
/// @par Thread safety
/// That of `Value`, which is best made of atomics: a process may be killed at any moment.
template <class Value>
class SharedMemory {
 public:
  SharedMemory() noexcept = default;
  /// @throws boost::system::system_error if there is no memory.
  explicit SharedMemory(std::size_t count) {
    static_assert(std::is_trivially_destructible_v<Value>, "nobody knows which process is the last to use it");
    void* const memory =
        ::mmap(nullptr, count * sizeof(Value), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw_error(last_system_error(), "memory for processes to share");
    values_ = {static_cast<Value*>(memory), count};
    std::uninitialized_value_construct(values_.begin(), values_.end());
  }
  SharedMemory(SharedMemory&& other) noexcept : values_(std::exchange(other.values_, {})) {}
  SharedMemory& operator=(SharedMemory&& other) noexcept {
    std::swap(values_, other.values_);
    return *this;
  }
  ~SharedMemory() {
    if (!values_.empty()) ::munmap(values_.data(), values_.size_bytes());
  }

  std::span<Value> values() const noexcept { return values_; }

 private:
  std::span<Value> values_;
};

}  // namespace sockserv::inline abi_0::detail
