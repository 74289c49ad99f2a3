#include "folder.hpp"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <deque>
#include <vector>

namespace example {
namespace {

using sockserv::error_code;

constexpr const char* own_descriptors = "/proc/self/fd";

/// To look at something without opening it.
constexpr int for_looking = O_PATH | O_CLOEXEC;
/// O_NONBLOCK: a file with a lease is not waited for.
constexpr int for_reading = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;

error_code last_error() { return {errno, boost::system::system_category()}; }
error_code error_of(int number) { return {number, boost::system::system_category()}; }

/// `more_resolve`: further flags of openat2(2).
Descriptor find_beneath(int folder, const std::string& path, Folder::Links links, std::uint64_t more_resolve = 0) {
  open_how how{};
  how.flags = for_looking;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | more_resolve;
  if (links == Folder::Links::refused) how.resolve |= RESOLVE_NO_SYMLINKS;
  const char* const name = path.empty() ? "." : path.c_str();
  return Descriptor(static_cast<int>(::syscall(SYS_openat2, folder, name, &how, sizeof how)));
}

/// Returns true if opening a file on this file system takes a look into memory, or at worst at a disk.
bool is_local(int folder) {
  struct statfs status{};
  if (::fstatfs(folder, &status) != 0) return false;
  constexpr std::array<std::int64_t, 9> local{BTRFS_SUPER_MAGIC, EROFS_SUPER_MAGIC_V1,  EXT4_SUPER_MAGIC,
                                              F2FS_SUPER_MAGIC,  OVERLAYFS_SUPER_MAGIC, RAMFS_MAGIC,
                                              SQUASHFS_MAGIC,    TMPFS_MAGIC,           XFS_SUPER_MAGIC};
  return std::find(local.begin(), local.end(), static_cast<std::int64_t>(status.f_type)) != local.end();
}

struct stat status_of(const Descriptor& file) {
  struct stat status{};
  if (::fstat(file.get(), &status) != 0) throw boost::system::system_error(last_error(), "cannot examine a file");
  return status;
}

/// Opens what `found` stands for. By its number in /proc, so that it is the same thing, whatever its path leads to by
/// now.
Descriptor open_found(const Descriptor& found, const struct stat& status, error_code& error) {
  if (!S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode)) {
    error = error_of(ENXIO);
    return {};
  }
  const std::string path = std::string(own_descriptors) + "/" + std::to_string(found.get());
  int descriptor = -1;
  do {
    descriptor = ::open(path.c_str(), for_reading);
  } while (descriptor < 0 && errno == EINTR);
  error = descriptor < 0 ? last_error() : error_code();
  return Descriptor(descriptor);
}

std::deque<std::string> names_of(const std::string& path) {
  std::deque<std::string> names;
  for (std::size_t begin = 0; begin <= path.size();) {
    const std::size_t end = std::min(path.find('/', begin), path.size());
    names.push_back(path.substr(begin, end - begin));
    begin = end + 1;
  }
  return names;
}

bool is_link(int descriptor) {
  struct stat status{};
  return ::fstat(descriptor, &status) == 0 && S_ISLNK(status.st_mode);
}

}  // namespace

Folder::Folder(const std::string& path, Links links, LookUp look_up)
    : path_(path), folder_(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)), links_(links), look_up_(look_up) {
  if (!folder_) throw boost::system::system_error(last_error(), "cannot open the folder " + path);
  if (::access(own_descriptors, F_OK) != 0) {
    throw boost::system::system_error(last_error(), "cannot open the files of " + path + " through /proc/self/fd");
  }
  if (is_local(folder_.get())) local_device_ = status_of(folder_).st_dev;
  const Descriptor probe = find_beneath(folder_.get(), "", links_);
  if (!probe && (errno == ENOSYS || errno == EPERM)) look_up_ = LookUp::by_component;
}

Descriptor Folder::open(const std::string& path, error_code& error) const {
  const Descriptor found = find(path, error);
  return found ? open_found(found, status_of(found), error) : Descriptor();
}

std::optional<Descriptor> Folder::open_at_once(const std::string& path, error_code& error) const {
  if (!local_device_ || look_up_ == LookUp::by_component) return std::nullopt;
  const Descriptor found = find_beneath(folder_.get(), path, links_, RESOLVE_CACHED);
  if (!found) {
    // EAGAIN: it is not cached. EINVAL: Linux before 5.12 does not know the flag.
    if (errno == EAGAIN || errno == EINVAL) return std::nullopt;
    error = last_error();
    return Descriptor();
  }
  const struct stat status = status_of(found);
  return status.st_dev == *local_device_ ? std::optional(open_found(found, status, error)) : std::nullopt;
}

/// Returns a descriptor that only stands for what has the path.
Descriptor Folder::find(const std::string& path, error_code& error) const {
  if (look_up_ == LookUp::by_component) return find_by_component(path, error);
  constexpr int most_attempts = 100;
  for (int attempt = 1;; ++attempt) {
    Descriptor found = find_beneath(folder_.get(), path, links_);
    error = found ? error_code() : last_error();
    // EAGAIN: something was renamed meanwhile, and the kernel is not sure.
    const bool may_succeed = error.value() == EAGAIN || error.value() == EINTR;
    if (!may_succeed || attempt == most_attempts) return found;
  }
}

/// Walks down from the folder, by descriptors, so that nothing can be exchanged behind its back, and back up (`..`)
/// only where it has come from.
Descriptor Folder::find_by_component(const std::string& path, error_code& error) const {
  constexpr int most_links = 40;  // as the kernel
  std::vector<Descriptor> way;    // the folders from the first below this one to where we are
  std::deque<std::string> left = names_of(path);
  int links = 0;
  const auto here = [&] { return way.empty() ? folder_.get() : way.back().get(); };
  const auto fail = [&](error_code why) {
    error = why;
    return Descriptor();
  };
  while (!left.empty()) {
    const std::string name = std::move(left.front());
    left.pop_front();
    if (name.empty() || name == ".") continue;
    if (name == "..") {
      if (way.empty()) return fail(error_of(EXDEV));
      way.pop_back();
      continue;
    }
    Descriptor next(::openat(here(), name.c_str(), for_looking | O_NOFOLLOW));
    if (!next) return fail(last_error());
    if (!is_link(next.get())) {
      if (left.empty()) {
        error.clear();
        return next;
      }
      way.push_back(std::move(next));
      continue;
    }
    if (links_ == Links::refused || ++links > most_links) return fail(error_of(ELOOP));
    std::array<char, PATH_MAX> target{};
    const ssize_t size = ::readlinkat(next.get(), "", target.data(), target.size());
    if (size < 0) return fail(last_error());
    if (target[0] == '/') return fail(error_of(EXDEV));
    const auto names = names_of({target.data(), static_cast<std::size_t>(size)});
    left.insert(left.begin(), names.begin(), names.end());
  }
  Descriptor found(::openat(here(), ".", for_looking));
  error = found ? error_code() : last_error();
  return found;
}

}  // namespace example
