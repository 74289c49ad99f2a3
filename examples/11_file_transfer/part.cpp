#include "part.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <utility>

namespace transfer {

Part::Part(const Folder& folder, const std::string& name) : folder_(folder), file_(open_locked(folder, name)) {
  const std::uint64_t size = file_.size();
  file_.hash(sha256_, 0, size);
  size_ = size;
}

Part::~Part() {
  const bool was_moved = file_.descriptor() == -1;
  if (!was_moved && size_ == 0) remove();
}

// snippet: lock
/// The lock belongs to the open file, so it ends with that, however it does. It may be had only once the name is
/// another file's, because who had it before has completed or removed the part; then that other file is meant.
File Part::open_locked(const Folder& folder, const std::string& name) {
  for (;;) {
    example::Descriptor found = open_plain(folder.descriptor(), name, O_RDWR | O_NOFOLLOW | O_NONBLOCK);
    if (!found && errno == ENOENT) {
      constexpr int flags = O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC;
      found = example::Descriptor(::openat(folder.descriptor(), name.c_str(), flags, 0666));
      if (!found && errno == EEXIST) continue;  // another transfer has made it since
    }
    File file(std::move(found), name);
    if (::flock(file.descriptor(), LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK) fail("lock", name);
      throw Failure("this file is being transferred already; try again later");
    }
    struct stat locked{};
    struct stat named{};
    if (::fstat(file.descriptor(), &locked) != 0) fail("examine", name);
    if (::fstatat(folder.descriptor(), name.c_str(), &named, AT_SYMLINK_NOFOLLOW) == 0 &&
        locked.st_ino == named.st_ino && locked.st_dev == named.st_dev) {
      return file;
    }
  }
}
// snippet end

void Part::go_on_from(std::uint64_t from) {
  if (from == size_) return;
  if (from != 0) throw Failure("a transfer goes on at byte 0 or " + std::to_string(size_) + " of this file");
  if (::ftruncate(file_.descriptor(), 0) != 0) fail("empty", file_.name());
  size_ = 0;
  sha256_ = Sha256();
}

void Part::append(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::pwrite(file_.descriptor(), bytes.data(), bytes.size(), static_cast<off_t>(size_));
    if (count == -1) {
      if (errno == EINTR) continue;
      const int reason = errno;
      remove();
      errno = reason;
      fail("write", file_.name());
    }
    const auto written = static_cast<std::size_t>(count);
    sha256_.add(bytes.substr(0, written));
    bytes.remove_prefix(written);
    size_ += written;
  }
}

// snippet: complete
void Part::complete(const std::string& name, const std::string& expected_sha256) {
  if (sha256() != expected_sha256) {
    const std::string actual = sha256();
    remove();
    throw Failure("the bytes of " + printable(name) + " have the SHA-256 " + actual + ", not " + expected_sha256 +
                  " as announced; they have been thrown away");
  }
  // On the disk before it has its name, so that not even a power cut leaves half a file there. After a failure the
  // kernel takes the lost pages for written, so the next fsync would succeed: the part is of no use any more.
  if (::fsync(file_.descriptor()) != 0) {
    const int reason = errno;
    remove();
    errno = reason;
    fail("write to the disk", file_.name());
  }
  folder_.check_room(name);
  if (::renameat(folder_.descriptor(), file_.name().c_str(), folder_.descriptor(), name.c_str()) != 0) {
    fail("put in place", name);
  }
  has_name_ = false;
  // EINVAL: this file system does not synchronize folders, and is not expected to.
  if (::fsync(folder_.descriptor()) != 0 && errno != EINVAL) fail("write to the disk the name of", name);
}
// snippet end

/// Once only: after that the name may be that of another transfer's part.
void Part::remove() noexcept {
  if (!std::exchange(has_name_, false)) return;
  ::unlinkat(folder_.descriptor(), file_.name().c_str(), 0);
  // Frees the disk space now, because the client gets its answer before the file is closed.
  [[maybe_unused]] const int result = ::ftruncate(file_.descriptor(), 0);
}

}  // namespace transfer
