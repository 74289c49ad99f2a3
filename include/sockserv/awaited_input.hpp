#pragma once

#include <chrono>
#include <exception>
#include <string_view>

namespace sockserv::inline abi_0 {

/// What a client has to send before a layer's `prepare_request()` has anything to do, and what the layer keeps
/// meanwhile. For layers of your own: see `BaseServer::begin_preparation()`.
///
/// Do not keep a reference to the connection: it is moved.
///
/// @par Thread safety
/// Distinct objects: safe. Shared objects: unsafe. A server uses one in the thread that accepts, and then where the
/// handler will run.
class AwaitedInput {
 public:
  using time_point = std::chrono::steady_clock::time_point;

  AwaitedInput() = default;
  AwaitedInput(const AwaitedInput&) = delete;
  AwaitedInput& operator=(const AwaitedInput&) = delete;
  virtual ~AwaitedInput() = default;

  /// Given what the client has sent by now, or the first 4096 bytes of it: returns true if that is enough. It has not
  /// been taken from the connection. Not called any more when the client sends no more. What it throws goes to
  /// `handle_error()`, and the connection is closed.
  virtual bool is_enough(std::string_view received) const { return !received.empty(); }

  /// Returns the end of the time that the layer gives the client; the server's limits hold besides. Default: no end.
  virtual time_point deadline() const { return time_point::max(); }
  /// Returns the error that `handle_error()` gets when that time is over. Null, the default: a `limit_error`, as when
  /// `ServerOptions::prepare_timeout` is over.
  virtual std::exception_ptr timeout_error() const { return nullptr; }
};

}  // namespace sockserv::inline abi_0
