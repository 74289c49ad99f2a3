#pragma once

#include <poll.h>
#include <unistd.h>

#include <utility>

namespace sockserv::detail {

/// True if reading from it would not wait.
inline bool is_readable(int descriptor) noexcept {
  pollfd readable{descriptor, POLLIN, 0};
  return ::poll(&readable, 1, 0) > 0;
}

/// Owns a file descriptor and closes it.
class Descriptor {
 public:
  Descriptor() noexcept = default;
  explicit Descriptor(int value) noexcept : value_(value) {}
  Descriptor(Descriptor&& other) noexcept : value_(other.release()) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    reset(other.release());
    return *this;
  }
  ~Descriptor() { reset(); }

  int get() const noexcept { return value_; }
  explicit operator bool() const noexcept { return value_ >= 0; }
  int release() noexcept { return std::exchange(value_, -1); }
  void reset(int value = -1) noexcept {
    const int old = std::exchange(value_, value);
    if (old >= 0) ::close(old);
  }

 private:
  int value_ = -1;
};

}  // namespace sockserv::detail
