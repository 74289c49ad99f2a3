#include "unix_path.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <sockserv/detail/clock.hpp>
#include <string>
#include <thread>

#include "../base/would_block.hpp"

namespace sockserv::inline abi_0::detail {
namespace {

using std::chrono::milliseconds;

/// Servers hold the lock for a few system calls, unless one was stopped meanwhile. Any other process that may read the
/// folder can hold it for as long as it likes, so it must not keep a server from starting.
constexpr std::chrono::seconds longest_wait(5);

}  // namespace

bool is_stale(const Address& address) {
  struct stat file{};
  const std::string path = address.path();
  if (path.empty() || path.front() == '\0') return false;
  if (::lstat(path.c_str(), &file) != 0 || !S_ISSOCK(file.st_mode)) return false;
  // The kernel refuses a datagram socket where no socket is bound. For a stream socket it reports EPROTOTYPE, whether
  // that listens or not; a connection attempt of its own kind would be refused until the server listens.
  const Descriptor probe(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  return probe && ::connect(probe.get(), address.data(), address.size()) != 0 && errno == ECONNREFUSED;
}

FolderLock::FolderLock(const Address& address) {
  const std::filesystem::path folder = std::filesystem::path(address.path()).parent_path();
  folder_ = Descriptor(::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const auto deadline = detail::now() + longest_wait;
  for (milliseconds pause(1); folder_ && ::flock(folder_.get(), LOCK_EX | LOCK_NB) != 0;
       pause = std::min(2 * pause, milliseconds(50))) {
    const bool may_change = would_block() || errno == EINTR;
    if (may_change && detail::now() < deadline) {
      std::this_thread::sleep_for(pause);
    } else {
      folder_.reset();
    }
  }
}

FolderLock::~FolderLock() {
  if (folder_) ::flock(folder_.get(), LOCK_UN);  // closing would leave it to a copy of the descriptor
}

}  // namespace sockserv::inline abi_0::detail
