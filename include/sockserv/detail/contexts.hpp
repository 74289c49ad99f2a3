#pragma once

#include <sockserv/export.hpp>

namespace boost::asio {
class io_context;
}

namespace sockserv::inline abi_0::detail {

/// An io_context for one user, and then for another. It is not destroyed when it is given back: an operation of another
/// executor that has been awaited with it may still be letting go of it, in a thread of its own.
///
/// Who gives it back leaves no handler in it that would touch what is gone. Who takes it finds it as others have left
/// it: perhaps stopped, and with operations that nobody awaits any more.
class LeasedContext {
 public:
  LeasedContext() noexcept = default;
  LeasedContext(const LeasedContext&) = delete;
  LeasedContext& operator=(const LeasedContext&) = delete;
  ~LeasedContext();

  /// Takes one, unless it has.
  boost::asio::io_context& get();
  /// Forgets the one that it has.
  void abandon() noexcept { context_ = nullptr; }

 private:
  boost::asio::io_context* context_ = nullptr;
};

/// That of the calling thread, until the thread ends.
boost::asio::io_context& context_of_this_thread();

/// Destroys the contexts that nobody has; to be called when no operation that has been awaited with them can still be
/// running.
SOCKSERV_EXPORT void close_idle_contexts() noexcept;

/// In a forked child: leaves all contexts to the parent, so that the next to await gets a new one. The copies share the
/// parent's epoll sets, eventfds and timerfds, so they are neither used nor destroyed; what has been made with them
/// must not be awaited here. The descriptors stay open.
void abandon_contexts() noexcept;

}  // namespace sockserv::inline abi_0::detail
