#include <sockserv/detail/descriptor.hpp>

#include <fcntl.h>

#include <cerrno>

namespace sockserv::inline abi_0::detail {

void fill_standard_descriptors() noexcept {
  for (int number = STDIN_FILENO; number <= STDERR_FILENO; ++number) {
    if (::fcntl(number, F_GETFD) >= 0) continue;
    // The lowest number that is free. Without /dev/null, anything that can be neither read nor written.
    if (::open("/dev/null", O_RDWR) < 0) static_cast<void>(::open("/", O_PATH));
  }
}

int above_standard_descriptors(int descriptor) noexcept {
  const int moved = ::fcntl(descriptor, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  const int error = errno;
  ::close(descriptor);
  errno = error;
  return moved;
}

}  // namespace sockserv::inline abi_0::detail
