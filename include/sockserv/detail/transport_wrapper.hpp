#pragma once

#include <memory>
#include <sockserv/detail/transport.hpp>
#include <sockserv/fwd.hpp>

namespace sockserv::inline abi_0::detail {

/// A transport around that of a connection, which changes the bytes on their way, as encryption does.
///
/// A derived class moves bytes by way of `inner()`, and says whether it holds some that it has received and not given
/// out. `inner()` may change between operations, when another thread or a fiber takes the connection over.
class TransportWrapper : public Transport {
 public:
  TransportWrapper() noexcept = default;
  TransportWrapper(const TransportWrapper&) = delete;
  TransportWrapper& operator=(const TransportWrapper&) = delete;
  virtual ~TransportWrapper() = default;

  void send_to(int descriptor, std::string_view packet, const Address& address, const Host& source,
               error_code& error) noexcept final;
  void wait_until_ready(int descriptor, short events, WaitLimit limit, error_code& error) noexcept final;
  bool has_buffered() const noexcept final { return holds_input() || inner_->has_buffered(); }
  bool has_input(int descriptor) noexcept final { return has_buffered() || inner_->has_input(descriptor); }
  void release(int descriptor) noexcept final { inner_->release(descriptor); }
  void timeouts_changed(int descriptor, const Timeouts& timeouts, error_code& error) noexcept final;

  /// Puts this around the transport of a connection. `owned` is that transport, if it is a wrapper itself.
  void put_around(Transport& inner, std::unique_ptr<TransportWrapper> owned) noexcept;
  /// Replaces the innermost transport, around which this and other wrappers are.
  void put_around(Transport& innermost) noexcept;

 protected:
  /// Returns true if the wrapper holds bytes that it could give out without receiving any.
  virtual bool holds_input() const noexcept = 0;

  Transport& inner() const noexcept { return *inner_; }

 private:
  Transport* inner_ = nullptr;
  std::unique_ptr<TransportWrapper> owned_;  // null, or what `inner_` points to
};

/// Has the bytes of a connection pass through a wrapper from now on. What `rfile` holds already is what it was.
void wrap(Connection& connection, std::unique_ptr<TransportWrapper> wrapper) noexcept;

}  // namespace sockserv::inline abi_0::detail
