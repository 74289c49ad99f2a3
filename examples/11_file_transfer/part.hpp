#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "folder.hpp"

namespace transfer {

/// A file on its way: what has arrived of it, under a name with a dot in front and ".part" behind. Whoever looks for
/// the file finds it complete, in its old or its new version, or not at all.
///
/// A part whose transfer breaks off stays, and the next one goes on with it. (If nobody ever does, it stays for good: a
/// server that runs for long removes old ones now and then, `find -name '.*.part' -mtime +7 -delete`.) A part without a
/// byte does not stay: requests that are refused, and clients that send nothing, leave nothing. While somebody works on
/// it, it is locked.
class Part {
 public:
  /// Opens the part of that name in the folder, which must outlive this, or makes it; reads and hashes what is there.
  /// @throws Failure if somebody else works on it, or for what the file system says.
  Part(const Folder& folder, const std::string& name);
  Part(Part&&) = default;
  Part& operator=(Part&&) = delete;
  /// Removes the part if it is empty.
  ~Part();

  /// How many bytes are there.
  std::uint64_t size() const noexcept { return size_; }
  /// Their SHA-256.
  std::string sha256() const { return sha256_.hex(); }

  /// Throws away what is there beyond nothing or all of it: `from` says where the transfer goes on.
  /// @throws Failure unless `from` is 0 or `size()`.
  void go_on_from(std::uint64_t from);
  /// Writes more bytes. If that fails, the part is removed: the disk is full, probably, and others need room, too.
  void append(std::string_view bytes);
  /// Gives the file its name if the SHA-256 of all that was written is this; otherwise removes it and throws.
  void complete(const std::string& name, const std::string& expected_sha256);

 private:
  static File open_locked(const Folder& folder, const std::string& name);
  void remove() noexcept;

  const Folder& folder_;
  File file_;
  bool has_name_ = true;  // that of a part, which `remove` takes away
  std::uint64_t size_ = 0;
  Sha256 sha256_;
};

}  // namespace transfer
