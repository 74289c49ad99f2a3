#pragma once

#include <memory>
#include <sockserv/detail/task.hpp>

namespace sockserv::inline abi_0::fiber {

class Loop;

/// What a loop needs of its owner, which may have others beside it.
///
/// @par Thread safety
/// Safe: loops call these in their threads.
class LoopOwner {
 public:
  /// Accepts requests, in the thread of the loop that calls.
  virtual void accept(Loop& loop) = 0;
  /// Called when a task is done.
  virtual void done() noexcept = 0;
  /// Called when the loop was idle and no longer is.
  virtual void busy() noexcept = 0;
  /// Returns true once tasks are not to wait any more.
  virtual bool is_aborted() const noexcept = 0;
  /// Has work done by another thread, for which only the fiber waits that wants it.
  virtual void offload(std::unique_ptr<detail::Task>& work) = 0;

 protected:
  ~LoopOwner() = default;
};

}  // namespace sockserv::inline abi_0::fiber
