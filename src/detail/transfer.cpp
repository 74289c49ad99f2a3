#include "transfer.hpp"

#include <sys/ioctl.h>
#include <sys/sendfile.h>

#include <algorithm>

#include "without_sigpipe.hpp"

namespace sockserv::detail {
namespace {

void set_blocking(int descriptor, bool on) noexcept {
  int nonblocking = on ? 0 : 1;
  ::ioctl(descriptor, FIONBIO, &nonblocking);
}

}  // namespace

ssize_t send_from_file(int descriptor, int file, std::uint64_t offset, std::size_t count, bool may_wait) noexcept {
  constexpr std::size_t most = 0x7ffff000;  // that it sends in one call
  const WithoutSigpipe without_sigpipe;
  auto position = static_cast<off_t>(offset);
  if (!may_wait) set_blocking(descriptor, false);
  const ssize_t sent = ::sendfile(descriptor, file, &position, std::min(count, most));
  const int error = errno;
  if (!may_wait) set_blocking(descriptor, true);
  if (sent < 0 && error == EPIPE) without_sigpipe.drop();
  errno = error;
  return sent;
}

}  // namespace sockserv::detail
