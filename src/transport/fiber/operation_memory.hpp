#pragma once

#include <array>
#include <cstddef>
#include <new>

namespace sockserv::inline abi_0::fiber {

/// Memory for one operation of Asio's at a time, so that starting it cannot fail. Asio gives it back before it calls
/// the operation's handler.
///
///     boost::asio::post(context, boost::asio::bind_allocator(memory.allocator(), action));
class OperationMemory {
 public:
  template <class Value>
  class Allocator {
   public:
    using value_type = Value;

    explicit Allocator(OperationMemory& memory) noexcept : memory_(&memory) {}
    template <class Other>
    // NOLINTNEXTLINE(google-explicit-constructor): allocators convert
    Allocator(const Allocator<Other>& other) noexcept : memory_(other.memory_) {}

    Value* allocate(std::size_t count) const { return static_cast<Value*>(memory_->take(count * sizeof(Value))); }
    void deallocate(Value* values, std::size_t) const noexcept { memory_->give_back(values); }

    template <class Other>
    bool operator==(const Allocator<Other>& other) const noexcept {
      return memory_ == other.memory_;
    }

   private:
    template <class Other>
    friend class Allocator;

    OperationMemory* memory_;
  };

  OperationMemory() = default;
  OperationMemory(const OperationMemory&) = delete;
  OperationMemory& operator=(const OperationMemory&) = delete;

  Allocator<void> allocator() noexcept { return Allocator<void>(*this); }

 private:
  /// An operation that is too large, which would be one of a later Asio, is allocated as usual.
  void* take(std::size_t size) { return size <= space_.size() ? space_.data() : ::operator new(size); }
  void give_back(void* memory) noexcept {
    if (memory != space_.data()) ::operator delete(memory);
  }

  alignas(std::max_align_t) std::array<std::byte, 256> space_;
};

}  // namespace sockserv::inline abi_0::fiber
