#pragma once

#include <functional>
#include <sockserv/detail/descriptor.hpp>
#include <sockserv/detail/idle.hpp>

namespace sockserv::inline abi_0::detail {

/// By which a process tells its children that the server stops. What is forked after it was made shares it.
class StopEvent {
 public:
  /// @throws boost::system::system_error if the system has no room for it.
  StopEvent();

  /// From now on the server stops, for all who share this. `at_once` may follow `after_grace`.
  void set(EndIdle when) noexcept;
  /// Calls `action` in a thread of its own, at most once for each way of stopping; never if there can be no thread. For
  /// a process that ends by `_exit()`: the thread is not waited for.
  void call_when_set(std::function<void(EndIdle)> action) const;

 private:
  // Eventfds that nobody reads: they stay readable.
  Descriptor after_grace_;
  Descriptor at_once_;
};

}  // namespace sockserv::inline abi_0::detail
