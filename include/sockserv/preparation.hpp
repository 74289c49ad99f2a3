#pragma once

#include <chrono>
#include <exception>
#include <sockserv/export.hpp>
#include <string_view>

namespace sockserv::inline abi_0 {

/// What a layer waits for before its `prepare_request()` has anything to do, and what it keeps meanwhile. For layers of
/// your own: see `BaseServer::begin_preparation()`.
///
/// @par Thread safety
/// Distinct objects: safe. Shared objects: unsafe. A server uses one in the thread that accepts, and then where the
/// handler will run.
class SOCKSERV_EXPORT Preparation {
 public:
  using time_point = std::chrono::steady_clock::time_point;

  Preparation() = default;
  Preparation(const Preparation&) = delete;
  Preparation& operator=(const Preparation&) = delete;
  virtual ~Preparation() = default;

  /// Given what the client has sent by now, or at least its first 4096 bytes: returns true if `prepare_request()` can
  /// go on with it. Nothing has been taken from the connection. Not called again once the client sends no more.
  virtual bool has_enough(std::string_view received) const { return !received.empty(); }

  /// Until when the client has time, besides what the server's limits allow. Default: no limit.
  virtual time_point deadline() const { return time_point::max(); }
  /// Returns what `handle_error()` is told if `deadline()` passes.
  virtual std::exception_ptr error() const;
};

}  // namespace sockserv::inline abi_0
