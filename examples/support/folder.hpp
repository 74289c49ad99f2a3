#pragma once

/// A folder that nothing leads out of: what is opened by a path in it is in it, whatever the path says, and whatever
/// others make of the folder's content meanwhile.

#include <sys/types.h>

#include <optional>
#include <sockserv/detail/descriptor.hpp>
#include <sockserv/error.hpp>
#include <string>

namespace example {

using sockserv::detail::Descriptor;

/// May be used by any number of threads.
class Folder {
 public:
  enum class Links : bool {
    refused,   ///< Symbolic links are not followed: ELOOP.
    followed,  ///< They are, as long as they stay in the folder; out of it, and by an absolute path: EXDEV.
  };
  /// How a path is looked up.
  enum class LookUp : bool {
    by_kernel,     ///< openat2(2), of Linux 5.6; where that is missing, the other.
    by_component,  ///< One name after the other.
  };

  /// @throws boost::system::system_error if there is no such folder, or no /proc, through which files are opened.
  explicit Folder(const std::string& path, Links links = Links::refused, LookUp look_up = LookUp::by_kernel);

  /// Returns the folder that has the same path now: another one, perhaps, or what a link leads to by now.
  /// @throws what the constructor throws.
  Folder reopened() const { return Folder(path_, links_, look_up_); }

  /// Opens for reading the regular file or the folder that has this path, which begins at the folder ("" is the folder
  /// itself). Anything else is reported as ENXIO and is not opened: opening a named pipe or a device has effects. Waits
  /// for neither a pipe nor a lease: a file that somebody holds a lease of (fcntl(2)) is EAGAIN until the holder gives
  /// it up, which the system demands of the holder. So is a path in which others keep renaming folders. A slow file
  /// system is waited for.
  Descriptor open(const std::string& path, sockserv::error_code& error) const;

  /// Does the same if it need not wait for a file system: names are cached, and the file is on the folder's own disk.
  /// No value: it might have to wait, so call `open` where that holds nobody up.
  std::optional<Descriptor> open_at_once(const std::string& path, sockserv::error_code& error) const;

  /// The folder's own, for openat(2) and the like.
  int descriptor() const noexcept { return folder_.get(); }

 private:
  Descriptor find(const std::string& path, sockserv::error_code& error) const;
  Descriptor find_by_component(const std::string& path, sockserv::error_code& error) const;

  std::string path_;
  Descriptor folder_;
  std::optional<dev_t> local_device_;  // the folder's, unless its file system is one of a network or the like
  Links links_;
  LookUp look_up_;
};

}  // namespace example
