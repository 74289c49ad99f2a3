#include "transfer.hpp"

#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>

#include <algorithm>
#include <ctime>

namespace sockserv::detail {
namespace {

/// Keeps SIGPIPE from the thread; one that comes meanwhile is dropped. A call's SIGPIPE goes to the thread that has
/// made the call.
class WithoutSigpipe {
 public:
  WithoutSigpipe() noexcept {
    sigemptyset(&sigpipe_);
    sigaddset(&sigpipe_, SIGPIPE);
    ::pthread_sigmask(SIG_BLOCK, &sigpipe_, &before_);
  }
  WithoutSigpipe(const WithoutSigpipe&) = delete;
  WithoutSigpipe& operator=(const WithoutSigpipe&) = delete;
  ~WithoutSigpipe() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

  void drop() const noexcept {
    if (sigismember(&before_, SIGPIPE) == 1) return;  // whoever blocks it may wait for one
    constexpr timespec at_once{};
    ::sigtimedwait(&sigpipe_, nullptr, &at_once);
  }

 private:
  sigset_t sigpipe_{};
  sigset_t before_{};
};

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
