#include <sockserv/detail/transport_wrapper.hpp>

#include <poll.h>

#include <utility>

namespace sockserv::inline abi_0::detail {

void TransportWrapper::send_to(int descriptor, std::string_view packet, const Address& address, const Host& source,
                               error_code& error) noexcept {
  inner_->send_to(descriptor, packet, address, source, error);
}

void TransportWrapper::wait_until_ready(int descriptor, short events, WaitLimit limit, error_code& error) noexcept {
  error.clear();
  if ((events & POLLIN) != 0 && holds_input()) return;
  inner_->wait_until_ready(descriptor, events, limit, error);
}

void TransportWrapper::timeouts_changed(int descriptor, const Timeouts& timeouts, error_code& error) noexcept {
  inner_->timeouts_changed(descriptor, timeouts, error);
}

void TransportWrapper::put_around(Transport& inner, std::unique_ptr<TransportWrapper> owned) noexcept {
  inner_ = &inner;
  owned_ = std::move(owned);
}

void TransportWrapper::put_around(Transport& innermost) noexcept {
  if (owned_) {
    owned_->put_around(innermost);
  } else {
    inner_ = &innermost;
  }
}

}  // namespace sockserv::inline abi_0::detail
