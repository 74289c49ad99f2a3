#pragma once

#include <signal.h>
#include <sys/types.h>

#include <mutex>

namespace sockserv::inline abi_0::detail {

/// fork(), with two locks held across it, so that no thread that the child does not have holds them there. As long as
/// this object lives, signals are blocked: a child uses the time to become one.
///
/// In the child, SIGTERM is deadly, blocked or not in the parent; SIGINT is ignored where the parent handles it; what
/// the parent's threads awaited with is forgotten.
class Fork {
 public:
  /// @throws boost::system::system_error if there can be no child.
  Fork(std::mutex& first, std::mutex& second);
  Fork(const Fork&) = delete;
  Fork& operator=(const Fork&) = delete;
  ~Fork();

  /// Returns what fork() did.
  pid_t child() const noexcept { return child_; }

 private:
  sigset_t mask_;  // to be restored
  pid_t child_;
};

}  // namespace sockserv::inline abi_0::detail
