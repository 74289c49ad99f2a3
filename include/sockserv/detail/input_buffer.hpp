#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <span>
#include <string_view>

namespace sockserv::detail {

/// Bytes that have arrived and have not been read.
///
///     |  read  |  unread  |  room  |
///     0      begin_      end_   capacity_
///
/// The memory comes with the first byte, grows by doubling when one item needs more.
class InputBuffer {
 public:
  static constexpr std::size_t default_capacity = 16384;

  InputBuffer() noexcept = default;

  /// Holds a copy of bytes that are all there is (a packet).
  explicit InputBuffer(std::string_view content);

  /// How many bytes of memory to take once any are needed.
  void set_initial_capacity(std::size_t capacity) noexcept { initial_capacity_ = capacity; }

  std::string_view unread() const noexcept { return {memory_.get() + begin_, end_ - begin_}; }
  bool empty() const noexcept { return begin_ == end_; }
  void consume(std::size_t count) noexcept { begin_ += count; }

  /// At least one byte of space behind the unread bytes; moves them to the front, or to more memory, if need be.
  std::span<char> room();
  /// Makes the first `count` bytes of `room()` unread ones.
  void commit(std::size_t count) noexcept { end_ += count; }

  /// Puts bytes that were taken out back in front of the unread ones.
  void put_back(std::string_view bytes);

 private:
  void move_to(std::size_t capacity, std::size_t begin);

  struct Free {
    void operator()(char* memory) const noexcept { std::free(memory); }
  };

  std::unique_ptr<char[], Free> memory_;
  std::size_t initial_capacity_ = default_capacity;
  std::size_t capacity_ = 0;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

}  // namespace sockserv::detail
