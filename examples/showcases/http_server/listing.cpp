#include "listing.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <boost/algorithm/string/case_conv.hpp>
#include <cerrno>
#include <memory>
#include <sockserv/error.hpp>
#include <tuple>
#include <vector>

#include "target.hpp"

namespace web {
namespace {

struct CloseFolder {
  void operator()(DIR* folder) const noexcept { ::closedir(folder); }
};

[[noreturn]] void fail() {
  throw boost::system::system_error(errno, boost::system::system_category(), "cannot read a folder");
}

/// What is shown behind a name: what a link leads to is not looked at.
char mark_of(int folder, const dirent& entry) {
  struct stat status{};
  const bool known = entry.d_type != DT_UNKNOWN;
  if (!known && ::fstatat(folder, static_cast<const char*>(entry.d_name), &status, AT_SYMLINK_NOFOLLOW) != 0) return 0;
  if (known ? entry.d_type == DT_DIR : S_ISDIR(status.st_mode)) return '/';
  if (known ? entry.d_type == DT_LNK : S_ISLNK(status.st_mode)) return '@';
  return 0;
}

struct FolderEntry {
  std::string name;
  char mark;
};

std::vector<FolderEntry> entries_of(sockserv::detail::Descriptor folder) {
  const std::unique_ptr<DIR, CloseFolder> open(::fdopendir(folder.get()));
  if (!open) fail();
  const int descriptor = folder.release();
  std::vector<FolderEntry> entries;
  for (;;) {
    errno = 0;
    const dirent* const entry = ::readdir(open.get());
    if (!entry && errno != 0) fail();
    if (!entry) break;
    std::string name = static_cast<const char*>(entry->d_name);
    if (name != "." && name != "..") entries.push_back({std::move(name), mark_of(descriptor, *entry)});
  }
  std::sort(entries.begin(), entries.end(), [](const FolderEntry& left, const FolderEntry& right) {
    const std::string small_left = boost::to_lower_copy(left.name);
    const std::string small_right = boost::to_lower_copy(right.name);
    return std::tie(small_left, left.name) < std::tie(small_right, right.name);
  });
  return entries;
}

}  // namespace

std::string listing(sockserv::detail::Descriptor folder, std::string_view path) {
  const std::string title = "Listing of " + html_escaped(path);
  std::string page = "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>" + title +
                     "</title>\n</head>\n<body>\n<h1>" + title + "</h1>\n<ul>\n";
  for (const FolderEntry& entry : entries_of(std::move(folder))) {
    const bool is_folder = entry.mark == '/';
    // "./" in front: the name could begin like a URL, with "javascript:".
    page += "<li><a href=\"./" + percent_encoded(entry.name) + (is_folder ? "/" : "") + "\">" +
            html_escaped(entry.name) + "</a>" + (entry.mark ? std::string(1, entry.mark) : "") + "</li>\n";
  }
  return page + "</ul>\n</body>\n</html>\n";
}

}  // namespace web
