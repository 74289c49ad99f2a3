#include "folder.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <sockserv/detail/text.hpp>
#include <system_error>
#include <utility>

namespace transfer {

void fail(std::string_view action, std::string_view name) {
  const std::string reason = std::generic_category().message(errno);
  throw Failure("cannot " + std::string(action) + " " + printable(name) + ": " + reason);
}

// snippet: names
void check_name(const std::string& name) {
  const auto refuse = [&](const std::string& reason) {
    throw Failure("the name '" + printable(name.substr(0, 200)) + "' " + reason);
  };
  constexpr std::size_t longest = 180;  // the name of a part of the file is longer, and may have 255 bytes
  if (name.empty()) refuse("is empty");
  if (name.size() > longest) refuse("has more than " + std::to_string(longest) + " bytes");
  if (name.find('\0') != name.npos) refuse("has a NUL in it");
  if (name.find('/') != name.npos) refuse("is a path; files go by their names in the server's one folder");
  if (name.front() == '.') refuse("begins with a dot");
  if (!sockserv::detail::is_utf8(name)) refuse("is not UTF-8, and JSON carries no other; rename the file");
}
// snippet end

// snippet: look first
example::Descriptor open_plain(int folder, const std::string& path, int flags) {
  const example::Descriptor found(::openat(folder, path.c_str(), O_PATH | O_CLOEXEC | (flags & O_NOFOLLOW)));
  struct stat status{};
  if (!found || ::fstat(found.get(), &status) != 0) return {};
  if (S_ISLNK(status.st_mode)) {
    errno = ELOOP;
    return {};
  }
  if (!S_ISREG(status.st_mode)) throw Failure(printable(path) + " is no plain file");
  const std::string same = "/proc/self/fd/" + std::to_string(found.get());  // whatever has the path by now
  return example::Descriptor(::open(same.c_str(), (flags & ~O_NOFOLLOW) | O_CLOEXEC));
}
// snippet end

File::File(example::Descriptor descriptor, std::string name)
    : descriptor_(std::move(descriptor)), name_(std::move(name)) {
  if (!descriptor_) fail("open", name_);
  struct stat status{};
  if (::fstat(descriptor_.get(), &status) != 0 || !S_ISREG(status.st_mode)) {
    throw Failure(printable(name_) + " is no plain file");
  }
}

std::uint64_t File::size() const {
  struct stat status{};
  if (::fstat(descriptor(), &status) != 0) fail("examine", name_);
  return static_cast<std::uint64_t>(status.st_size);
}

std::string File::read(std::uint64_t offset, std::uint64_t count) const {
  std::string bytes(static_cast<std::size_t>(std::min<std::uint64_t>(count, piece_size)), '\0');
  ssize_t size = 0;
  do {
    size = ::pread(descriptor(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
  } while (size == -1 && errno == EINTR);
  if (size == -1) fail("read", name_);
  if (size == 0) throw Failure(printable(name_) + " has become shorter");
  bytes.resize(static_cast<std::size_t>(size));
  return bytes;
}

void File::hash(Sha256& sha256, std::uint64_t from, std::uint64_t to) const {
  while (from < to) {
    const std::string piece = read(from, to - from);
    sha256.add(piece);
    from += piece.size();
  }
}

File Folder::open(const std::string& name) const {
  check_room(name);  // which has the better words for a link; but only the folder is safe if it changes right now
  sockserv::error_code error;
  example::Descriptor found = folder_.open(name, error);
  errno = error.value();
  return {std::move(found), name};
}

void Folder::check_room(const std::string& name) const {
  check_name(name);
  struct stat status{};
  if (::fstatat(descriptor(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno != ENOENT) fail("examine", name);
  } else if (S_ISLNK(status.st_mode)) {
    throw Failure(printable(name) + " is a symbolic link; links are not followed");
  } else if (!S_ISREG(status.st_mode)) {
    throw Failure(printable(name) + " is no plain file");
  }
}

}  // namespace transfer
