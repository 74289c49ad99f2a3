#pragma once

/// The one folder that files go to and come from, and how nothing gets out of it: a name is a name, not a path; and it
/// is looked up in a `support/folder.hpp`, which follows no symbolic link.

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

#include "sha256.hpp"
#include "support/folder.hpp"
#include "support/printable.hpp"

namespace transfer {

using example::printable;

/// So much is read, sent, received and written at a time.
inline constexpr std::size_t piece_size = std::size_t{256} << 10;

/// What the peer is told: a request that is refused, or what the file system says.
class Failure : public std::runtime_error {
 public:
  using runtime_error::runtime_error;
};

/// Throws a Failure about the system call that has just failed: "cannot write x: No space left on device".
[[noreturn]] void fail(std::string_view action, std::string_view name);

/// Throws a Failure unless a file may have this name: no path, no dot in front, which `.` and `..` have, and the parts
/// of files that are not complete, and UTF-8, because JSON would turn two names that are not into one.
void check_name(const std::string& name);

/// Opens a plain file; `flags` are those of open(2), among them O_NOFOLLOW for the last component of the path. Returns
/// no descriptor, and the reason in errno, if that fails. Anything but a plain file is not opened, because opening has
/// effects: on a named pipe it waits for the other end, or lets that go on; what it does on a device, the device says.
/// @throws Failure if it is no plain file.
example::Descriptor open_plain(int folder, const std::string& path, int flags);

/// An open file.
class File {
 public:
  /// Takes the descriptor of a plain file. Throws a Failure if there is none, for what errno says, or it is no plain
  /// file's.
  File(example::Descriptor descriptor, std::string name);

  /// How many bytes it has.
  std::uint64_t size() const;
  /// The next bytes at `offset`: as many as there are, but no more than `count`.
  /// @throws Failure if there are none: the file has become shorter.
  std::string read(std::uint64_t offset, std::uint64_t count) const;
  /// Adds the bytes between the two offsets to the hash.
  void hash(Sha256& sha256, std::uint64_t from, std::uint64_t to) const;

  int descriptor() const noexcept { return descriptor_.get(); }
  const std::string& name() const noexcept { return name_; }

 private:
  example::Descriptor descriptor_;
  std::string name_;
};

class Folder {
 public:
  /// @throws boost::system::system_error if there is no such folder.
  explicit Folder(const std::string& path) : folder_(path) {}

  /// Opens a file for reading. Throws a Failure if the name may not be, or is no plain file's.
  File open(const std::string& name) const;
  /// Throws a Failure if no file can be put there under this name: see `check_name`, or there is something else than a
  /// plain file.
  void check_room(const std::string& name) const;

  int descriptor() const noexcept { return folder_.descriptor(); }

 private:
  example::Folder folder_;
};

}  // namespace transfer
