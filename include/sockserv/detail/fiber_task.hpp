#pragma once

#include <exception>
#include <sockserv/fwd.hpp>

namespace sockserv::detail {

class Transport;

/// A request, and what is to be done with it on a fiber.
class FiberTask {
 public:
  virtual ~FiberTask() = default;
  /// Told before `run()`: how the request is to wait from now on.
  virtual void use_transport(Transport& transport) noexcept = 0;
  virtual void run() = 0;
  /// Called instead of `run()` if there can be no fiber.
  virtual void failed(const std::exception_ptr& error) noexcept = 0;
  /// Whose request it is, for messages.
  virtual const Address& client_address() const noexcept = 0;
};

}  // namespace sockserv::detail
