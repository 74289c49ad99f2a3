#pragma once

/// A folder that nothing leads out of: what is opened by a path in it is in it, whatever the path says, and whatever
/// others make of the folder's content meanwhile.

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

  /// @throws boost::system::system_error if there is no such folder.
  explicit Folder(const std::string& path, Links links = Links::refused, LookUp look_up = LookUp::by_kernel);

  /// Opens for reading what has this path, which begins at the folder ("" is the folder itself). Never waits, not for
  /// the writer of a named pipe either. What it is, a file or something else, the caller finds out by fstat(2).
  Descriptor open(const std::string& path, sockserv::error_code& error) const;

  /// The folder's own, for openat(2) and the like.
  int descriptor() const noexcept { return folder_.get(); }

 private:
  Descriptor open_by_component(const std::string& path, sockserv::error_code& error) const;

  Descriptor folder_;
  Links links_;
  LookUp look_up_;
};

}  // namespace example
