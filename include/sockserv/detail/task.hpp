#pragma once

#include <exception>
#include <sockserv/address.hpp>
#include <sockserv/detail/admission.hpp>
#include <sockserv/export.hpp>

namespace sockserv::inline abi_0::detail {

class Transport;

/// A piece of work for a runner: to serve an accepted request, or to do what a handler offloads.
class SOCKSERV_EXPORT Task {
 public:
  virtual ~Task() = default;

  /// Does the work; returns whether it succeeded. Throws nothing but a request to end the thread.
  virtual bool run() = 0;
  /// Has the request use this transport from now on. Called before `run()`, where the runner has one of its own.
  virtual void use_transport(Transport&) noexcept {}
  /// Called instead of `run()` by a runner that has taken the task and finds that it cannot run it: reports the error,
  /// and ends the request.
  virtual void fail(const std::exception_ptr&) noexcept {}
  /// Returns where the request came from, for messages. Empty if it is nobody's.
  virtual const Address& client_address() const noexcept;
  /// Returns the request's admission, for a runner that has the request served by another process: to be kept until
  /// that process exits.
  virtual Admission take_admission() noexcept { return {}; }
};

}  // namespace sockserv::inline abi_0::detail
