#include "static_files.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <ctime>
#include <optional>
#include <sockserv/this_request.hpp>

#include "listing.hpp"
#include "media_type.hpp"

namespace web {
namespace {

using boost::system::error_code;
using example::Descriptor;
using example::Folder;
using http::status;

using std::chrono::nanoseconds;

constexpr std::string_view index_name = "index.html";

/// How often, and after which pauses, a file is tried that others have a lease of.
constexpr int most_attempts = 50;
constexpr std::chrono::milliseconds pause_between(20);

/// How long a file system may give a file the same time whose clock has no fractions of seconds.
constexpr std::chrono::seconds coarsest_resolution(2);

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
      throw Refusal(status::forbidden, "this cannot be read");
    case ENXIO:
      throw Refusal(status::forbidden, "this is no regular file");
    case EAGAIN:
      throw Refusal(status::service_unavailable, "this file is in use; try again later");
    case EMFILE:
    case ENFILE:
    case ENOMEM:
      throw Refusal(status::service_unavailable, "too much is open; try again later");
    default:
      throw boost::system::system_error(error, "cannot open a file");
  }
}

struct stat status_of(const Descriptor& file) {
  struct stat status{};
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

nanoseconds since_1970(const std::timespec& time) {
  return std::chrono::seconds(time.tv_sec) + nanoseconds(time.tv_nsec);
}

nanoseconds now(clockid_t clock) {
  std::timespec time{};
  ::clock_gettime(clock, &time);
  return since_1970(time);
}

/// Returns the resolution of the clock from which file systems take their times.
nanoseconds tick() {
  std::timespec time{};
  ::clock_getres(CLOCK_REALTIME_COARSE, &time);
  return since_1970(time);
}

/// Returns true if one more change could leave a file with the same times: within a tick, or within the resolution of a
/// file system that has whole seconds only.
bool may_change_unnoticed(const std::timespec& changed, nanoseconds seen) {
  const nanoseconds resolution = changed.tv_nsec == 0 ? coarsest_resolution : tick();
  return std::chrono::abs(seen - since_1970(changed)) < resolution;
}

/// Returns a tag that no other state of the path has had: which file it is, when it was last changed, and its size. The
/// time is st_ctim, when anything about the file last changed: unlike st_mtim, nobody can set it.
/// While one more change could go unnoticed the tag is weak (RFC 9110, 8.8.1), and by the exact time one of its own.
std::string etag_of(const struct stat& status, nanoseconds seen) {
  const std::string tag = in_hexadecimal(static_cast<std::int64_t>(status.st_ino)) + '-' +
                          in_hexadecimal(status.st_ctim.tv_sec) + '.' + in_hexadecimal(status.st_ctim.tv_nsec) + '-' +
                          in_hexadecimal(status.st_size);
  if (!may_change_unnoticed(status.st_ctim, seen)) return '"' + tag + '"';
  return "W/\"" + tag + '-' + in_hexadecimal(now(CLOCK_REALTIME).count()) + '"';
}

/// A file that was changed a moment ago is looked at again when the clock has moved on, so that its tag can be strong.
OpenFile open_file(Descriptor file, struct stat status, std::string_view path) {
  nanoseconds seen = now(CLOCK_REALTIME_COARSE);  // the clock of Date
  if (status.st_ctim.tv_nsec != 0 && may_change_unnoticed(status.st_ctim, seen)) {
    sockserv::this_request::sleep_for(2 * tick());
    status = status_of(file);
    seen = now(CLOCK_REALTIME_COARSE);
  }
  return {std::move(file),
          {.size = static_cast<std::uint64_t>(status.st_size),
           .modified = std::max<std::time_t>(status.st_mtim.tv_sec, 0),
           .etag = etag_of(status, seen),
           .seen = static_cast<std::time_t>(std::chrono::floor<std::chrono::seconds>(seen).count())},
          media_type(path)};
}

/// Opens a file without holding up other requests. A process that has a lease of the file gets some time to release it.
Descriptor open_in(const Folder& folder, const std::string& path, error_code& error) {
  for (int attempt = 1;; ++attempt) {
    std::optional<Descriptor> found = folder.open_at_once(path, error);
    if (!found) found = sockserv::this_request::offload([&] { return folder.open(path, error); });
    if (error.value() != EAGAIN || attempt == most_attempts) return std::move(*found);
    sockserv::this_request::sleep_for(pause_between);
  }
}

}  // namespace

Folder reopened(const Folder& folder) try {
  return sockserv::this_request::offload([&] { return folder.reopened(); });
} catch (const boost::system::system_error& error) {
  if (error.code().value() != ENOENT && error.code().value() != ENOTDIR) throw;
  throw Refusal(status::service_unavailable, "the files are being replaced; try again later");
}

Found find_file(const Folder& folder, const std::string& path) {
  error_code error;
  Descriptor found = open_in(folder, path.substr(1), error);
  if (error) refuse_as(error);
  const struct stat status = status_of(found);
  if (!S_ISDIR(status.st_mode)) return open_file(std::move(found), status, path);
  if (!path.ends_with('/')) return Redirect{path + '/'};
  Descriptor index = open_in(folder, path.substr(1).append(index_name), error);
  if (!error) {
    const struct stat index_status = status_of(index);
    if (S_ISREG(index_status.st_mode)) return open_file(std::move(index), index_status, index_name);
  } else if (error.value() != ENOENT && error.value() != ENXIO) {  // ENXIO: there is something, but it is no file
    refuse_as(error);
  }
  // There may be very many entries.
  return sockserv::this_request::offload([&] { return FolderPage{listing(std::move(found), path)}; });
}

}  // namespace web
