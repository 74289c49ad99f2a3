#pragma once

#include <sockserv/address.hpp>
#include <sockserv/detail/descriptor.hpp>

namespace sockserv::inline abi_0::detail {

/// Returns true if the address is a path of the file system, and no process has the socket open that was bound to it.
///
/// A socket that is bound and does not listen yet is open. Its server notices nothing.
bool is_stale(const Address& address);

/// The exclusive right among sockserv's servers to remove a path from a folder and to bind to it anew. Without it, two
/// servers could find the same stale path, and the second would remove what the first has bound.
///
/// The system releases it when the process exits. A process that was forked meanwhile does not keep it.
///
/// Where the lock cannot be had, because the folder cannot be read or another process does not release it within five
/// seconds, the server goes on without.
class FolderLock {
 public:
  /// Locks the folder of that path, if it can. Waits five seconds at most.
  explicit FolderLock(const Address& address);
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;
  ~FolderLock();

 private:
  Descriptor folder_;
};

}  // namespace sockserv::inline abi_0::detail
