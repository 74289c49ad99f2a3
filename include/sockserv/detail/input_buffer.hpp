#pragma once

#include <cstddef>
#include <memory>
#include <sockserv/export.hpp>
#include <span>
#include <string_view>

namespace sockserv::inline abi_0::detail {

/// Lends memory to those who need some for a short time.
class SOCKSERV_EXPORT BufferLender {
 public:
  /// How large its buffers are, in bytes.
  static constexpr std::size_t buffer_size = 16384;

  virtual char* lend() = 0;
  virtual void take_back(char* buffer) noexcept = 0;

 protected:
  ~BufferLender() = default;
};

/// Returns memory to where it came from.
struct GiveBack {
  BufferLender* lender = nullptr;  // null: it came from malloc, or is the child's
  SOCKSERV_EXPORT void operator()(char* memory) const noexcept;
};

/// Bytes that have arrived and have not been read.
///
///     |  read  |  unread  |  room  |
///     0      begin_      end_   capacity_
///
/// The memory comes with the first byte, grows by doubling when one item needs more.
class SOCKSERV_EXPORT InputBuffer {
 public:
  static constexpr std::size_t default_capacity = BufferLender::buffer_size;

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

  /// Keeps no more memory than a few unread bytes need, if those are all: what was lent goes back. To be called before
  /// a wait that may be long; views of what has been read end here.
  void economize();
  /// Has `lender` provide the memory that the next bytes need, instead of keeping some of its own; at most
  /// `BufferLender::buffer_size`. The lender must outlive this.
  void borrow_from(BufferLender& lender);

  /// In a forked child: lets one buffer at a time use memory that the program has had from the start. A child that
  /// calls malloc for nothing else then touches none of its pages, each of which would have to be copied.
  static void use_memory_of_child() noexcept;

  /// Puts bytes that were taken out back in front of the unread ones.
  void put_back(std::string_view bytes);

 private:
  using Memory = std::unique_ptr<char[], GiveBack>;

  static Memory allocate(std::size_t capacity);
  void move_to(std::size_t capacity, std::size_t begin);
  void move_to(Memory memory, std::size_t capacity, std::size_t begin) noexcept;

  Memory memory_;
  std::size_t initial_capacity_ = default_capacity;
  std::size_t capacity_ = 0;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

}  // namespace sockserv::inline abi_0::detail
