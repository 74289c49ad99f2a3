#pragma once

#include <poll.h>
#include <unistd.h>

#include <sockserv/export.hpp>
#include <utility>

namespace sockserv::inline abi_0::detail {

/// True if reading from it would not wait.
inline bool is_readable(int descriptor) noexcept {
  pollfd readable{descriptor, POLLIN, 0};
  return ::poll(&readable, 1, 0) > 0;
}

/// Opens /dev/null at each of descriptors 0, 1 and 2 that is closed, so that nothing else gets their numbers: log lines
/// would go into a socket at number 2. Called for each server, and for the first client.
void fill_standard_descriptors() noexcept;

/// Moves a descriptor that has one of the numbers 0 to 2 to a higher one. Returns -1 and sets errno, with the
/// descriptor closed, if there is none.
SOCKSERV_EXPORT int above_standard_descriptors(int descriptor) noexcept;

/// Owns a file descriptor and closes it.
class Descriptor {
 public:
  Descriptor() noexcept = default;
  /// Takes a descriptor that was just opened, and keeps it away from the numbers of the standard streams. `reset()`
  /// takes one as it is.
  explicit Descriptor(int value) noexcept
      : value_(value > STDERR_FILENO || value < 0 ? value : above_standard_descriptors(value)) {}
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

}  // namespace sockserv::inline abi_0::detail
