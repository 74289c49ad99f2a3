#include "static_files.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <sockserv/this_request.hpp>

#include "listing.hpp"
#include "media_type.hpp"

namespace web {
namespace {

using boost::system::error_code;
using example::Descriptor;
using example::Folder;
using http::status;

constexpr std::string_view index_name = "index.html";

[[noreturn]] void refuse_as(const error_code& error) {
  switch (error.value()) {
    case ENOENT:
    case ENOTDIR:
    case ENAMETOOLONG:
      throw Refusal(status::not_found, "there is no such file");
    case ELOOP:
    case EXDEV:
      throw Refusal(status::forbidden, "symbolic links are not followed, or not out of the folder");
    case EACCES:
    case EPERM:
    case ENXIO:  // a socket
      throw Refusal(status::forbidden, "this cannot be read");
    case EMFILE:
    case ENFILE:
    case ENOMEM:
      throw Refusal(status::service_unavailable, "too much is open; try again later");
    default:
      throw boost::system::system_error(error, "cannot open a file");
  }
}

struct stat status_of(const Descriptor& file) {
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) {
    throw boost::system::system_error(errno, boost::system::system_category(), "cannot examine a file");
  }
  return status;
}

std::string in_hexadecimal(std::int64_t number) {
  std::array<char, 16> digits{};
  const auto [end, error] =
      std::to_chars(digits.data(), digits.data() + digits.size(), static_cast<std::uint64_t>(number), 16);
  return {digits.data(), end};
}

/// The moment of the last change, exactly, and the size: only what keeps both goes unnoticed.
std::string etag_of(const struct stat& status) {
  return '"' + in_hexadecimal(status.st_mtim.tv_sec) + '.' + in_hexadecimal(status.st_mtim.tv_nsec) + '-' +
         in_hexadecimal(status.st_size) + '"';
}

OpenFile open_file(Descriptor file, const struct stat& status, std::string_view path) {
  if (!S_ISREG(status.st_mode)) throw Refusal(status::forbidden, "this is no regular file");
  return {
      std::move(file),
      {static_cast<std::uint64_t>(status.st_size), std::max<std::time_t>(status.st_mtim.tv_sec, 0), etag_of(status)},
      media_type(path)};
}

}  // namespace

Found find_file(const Folder& folder, const std::string& path) {
  error_code error;
  Descriptor found = folder.open(path.substr(1), error);
  if (error) refuse_as(error);
  const struct stat status = status_of(found);
  if (!S_ISDIR(status.st_mode)) return open_file(std::move(found), status, path);
  if (!path.ends_with('/')) return Redirect{path + '/'};
  Descriptor index = folder.open(path.substr(1).append(index_name), error);
  if (!error) {
    const struct stat index_status = status_of(index);
    return open_file(std::move(index), index_status, index_name);
  }
  if (error.value() != ENOENT) refuse_as(error);
  // There may be very many entries.
  return sockserv::this_request::offload([&] { return FolderPage{listing(std::move(found), path)}; });
}

}  // namespace web
