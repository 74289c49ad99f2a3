#include <sockserv/detail/input_buffer.hpp>

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

namespace sockserv::detail {

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

void InputBuffer::move_to(std::size_t capacity, std::size_t begin) {
  const std::size_t unread = end_ - begin_;
  if (capacity == capacity_) {
    std::memmove(memory_.get() + begin, memory_.get() + begin_, unread);
  } else {
    // From malloc, because a forked child, which needs it once, would pay for binding operator new[] each time.
    std::unique_ptr<char[], Free> memory(static_cast<char*>(std::malloc(capacity)));
    if (!memory) throw std::bad_alloc();
    if (unread > 0) std::memcpy(memory.get() + begin, memory_.get() + begin_, unread);
    memory_ = std::move(memory);
    capacity_ = capacity;
  }
  begin_ = begin;
  end_ = begin + unread;
}

}  // namespace sockserv::detail
