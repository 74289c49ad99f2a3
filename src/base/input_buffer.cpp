#include <sockserv/detail/input_buffer.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

namespace sockserv::inline abi_0::detail {
namespace {

/// Fewer than this are worth copying, to free the memory around them.
constexpr std::size_t few_bytes = 1024;

/// Memory for one buffer of a forked child. The flag lies beside the bytes, so that a child touches one page for both.
struct ChildMemory {
  std::atomic<bool> is_free = false;  // never true in a process that is no child
  std::array<char, InputBuffer::default_capacity> bytes{};
};
constinit ChildMemory of_child;

}  // namespace

void GiveBack::operator()(char* memory) const noexcept {
  if (lender) return lender->take_back(memory);
  if (memory == of_child.bytes.data()) return of_child.is_free.store(true);
  std::free(memory);
}

InputBuffer::InputBuffer(std::string_view content) { put_back(content); }

std::span<char> InputBuffer::room() {
  if (empty()) begin_ = end_ = 0;
  if (end_ == capacity_) {
    // Half a buffer of bytes already read is worth moving the rest for; otherwise one item has outgrown it.
    const bool mostly_read = begin_ > 0 && begin_ >= capacity_ / 2;
    move_to(mostly_read ? capacity_ : std::max(2 * capacity_, initial_capacity_), 0);
  }
  return {memory_.get() + end_, capacity_ - end_};
}

void InputBuffer::put_back(std::string_view bytes) {
  if (bytes.empty()) return;
  if (bytes.size() > begin_) {
    const std::size_t unread = end_ - begin_;
    move_to(std::max(capacity_, bytes.size() + unread), bytes.size());
  }
  begin_ -= bytes.size();
  std::memcpy(memory_.get() + begin_, bytes.data(), bytes.size());
}

void InputBuffer::economize() {
  const std::size_t unread = end_ - begin_;
  if (unread == 0) {
    memory_ = Memory();  // reset() would keep the lender, as if something were lent
    capacity_ = begin_ = end_ = 0;
  } else if (unread <= few_bytes && capacity_ > unread) {
    move_to(allocate(unread), unread, 0);
  }
}

void InputBuffer::use_memory_of_child() noexcept { of_child.is_free = true; }

void InputBuffer::borrow_from(BufferLender& lender) {
  const std::size_t wanted = std::min(initial_capacity_, BufferLender::buffer_size);
  if (memory_.get_deleter().lender || capacity_ >= wanted || initial_capacity_ > wanted) return;
  move_to(Memory(lender.lend(), GiveBack{&lender}), wanted, 0);
}

InputBuffer::Memory InputBuffer::allocate(std::size_t capacity) {
  if (capacity == of_child.bytes.size() && of_child.is_free && of_child.is_free.exchange(false)) {
    return Memory(of_child.bytes.data());
  }
  // From malloc, because a forked child, which needs it once, would pay for binding operator new[] each time.
  Memory memory(static_cast<char*>(std::malloc(capacity)));
  if (!memory) throw std::bad_alloc();
  return memory;
}

void InputBuffer::move_to(std::size_t capacity, std::size_t begin) {
  if (capacity != capacity_) return move_to(allocate(capacity), capacity, begin);
  const std::size_t unread = end_ - begin_;
  std::memmove(memory_.get() + begin, memory_.get() + begin_, unread);
  begin_ = begin;
  end_ = begin + unread;
}

void InputBuffer::move_to(Memory memory, std::size_t capacity, std::size_t begin) noexcept {
  const std::size_t unread = end_ - begin_;
  if (unread > 0) std::memcpy(memory.get() + begin, memory_.get() + begin_, unread);
  memory_ = std::move(memory);
  capacity_ = capacity;
  begin_ = begin;
  end_ = begin + unread;
}

}  // namespace sockserv::inline abi_0::detail
