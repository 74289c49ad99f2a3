#pragma once

#include <signal.h>
#include <sys/types.h>

#include <mutex>

namespace sockserv::inline abi_0::detail {

/// fork(), with two locks held across it, so that no thread that the child does not have holds them there. As long as
/// this object lives, signals are blocked: a child uses the time to become one.
///
/// In the child, SIGINT is ignored where the parent handles it. So is SIGTERM, unless it comes from the parent; where
/// the parent does not handle SIGTERM, it is deadly. It is not blocked, even if it is in the parent. What the parent's
/// threads awaited with is forgotten.
class Fork {
 public:
  /// To be called in a process before it forks.
  static void begin() noexcept;

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
