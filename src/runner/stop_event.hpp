#pragma once

#include <functional>
#include <sockserv/detail/descriptor.hpp>

namespace sockserv::inline abi_0::detail {

/// By which a process tells its children that the server stops. What is forked after it was made shares it.
class StopEvent {
 public:
  /// @throws boost::system::system_error if the system has no room for it.
  StopEvent();

  /// From now on it has happened, for all who share it.
  void set() noexcept;
  /// Calls `action` in a thread of its own when it has happened, once; never if there can be no thread. For a process
  /// that ends by `_exit()`: the thread is not waited for.
  void call_when_set(std::function<void()> action) const;

 private:
  Descriptor event_;  // an eventfd that nobody reads: it stays readable
};

}  // namespace sockserv::inline abi_0::detail
