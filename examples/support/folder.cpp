#include "folder.hpp"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <deque>
#include <vector>

namespace example {
namespace {

using sockserv::error_code;

/// O_NONBLOCK: opening a named pipe must not wait for somebody who writes to it. O_NOCTTY: nor is a terminal opened to
/// be that of this process.
constexpr int for_reading = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;

error_code last_error() { return {errno, boost::system::system_category()}; }
error_code error_of(int number) { return {number, boost::system::system_category()}; }

int open_beneath(int folder, const char* path, Folder::Links links) {
  open_how how{};
  how.flags = for_reading;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  if (links == Folder::Links::refused) how.resolve |= RESOLVE_NO_SYMLINKS;
  long descriptor = -1;
  do {  // EAGAIN: something was renamed meanwhile, and the kernel is not sure
    descriptor = ::syscall(SYS_openat2, folder, path, &how, sizeof how);
  } while (descriptor < 0 && (errno == EAGAIN || errno == EINTR));
  return static_cast<int>(descriptor);
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
  struct stat status {};
  return ::fstat(descriptor, &status) == 0 && S_ISLNK(status.st_mode);
}

}  // namespace

Folder::Folder(const std::string& path, Links links, LookUp look_up)
    : folder_(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)), links_(links), look_up_(look_up) {
  if (!folder_) throw boost::system::system_error(last_error(), "cannot open the folder " + path);
  const Descriptor probe(open_beneath(folder_.get(), ".", links_));
  if (!probe && (errno == ENOSYS || errno == EPERM)) look_up_ = LookUp::by_component;
}

Descriptor Folder::open(const std::string& path, error_code& error) const {
  if (look_up_ == LookUp::by_component) return open_by_component(path, error);
  Descriptor found(open_beneath(folder_.get(), path.empty() ? "." : path.c_str(), links_));
  error = found ? error_code() : last_error();
  return found;
}

/// Walks down from the folder, by descriptors, so that nothing can be exchanged behind its back, and back up (`..`)
/// only where it has come from.
Descriptor Folder::open_by_component(const std::string& path, error_code& error) const {
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
    Descriptor next(::openat(here(), name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    if (!next) return fail(last_error());
    if (!is_link(next.get())) {
      if (!left.empty()) {
        way.push_back(std::move(next));
        continue;
      }
      // Between these two calls it may have become a link, which is not followed then.
      Descriptor found(::openat(here(), name.c_str(), for_reading | O_NOFOLLOW));
      error = found ? error_code() : last_error();
      return found;
    }
    if (links_ == Links::refused || ++links > most_links) return fail(error_of(ELOOP));
    std::array<char, PATH_MAX> target{};
    const ssize_t size = ::readlinkat(next.get(), "", target.data(), target.size());
    if (size < 0) return fail(last_error());
    if (target[0] == '/') return fail(error_of(EXDEV));
    const auto names = names_of({target.data(), static_cast<std::size_t>(size)});
    left.insert(left.begin(), names.begin(), names.end());
  }
  Descriptor found(::openat(here(), ".", for_reading));
  error = found ? error_code() : last_error();
  return found;
}

}  // namespace example
