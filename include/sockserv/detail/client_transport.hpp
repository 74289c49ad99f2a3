#pragma once

#include <optional>
#include <sockserv/detail/transport.hpp>

namespace sockserv::detail {

class LiveRequests;

/// How the request waits whose handler is calling; outside of handlers, as a plain thread does.
Transport& transport_of_caller() noexcept;

/// The requests of the server whose handler is calling; null outside of handlers.
LiveRequests* requests_of_caller() noexcept;

/// How the sockets of a client wait: in the manner of whoever uses them at the time, be it a handler, this one or that,
/// or a plain thread. There is one for each connection, since it has a timeout.
class ClientTransport final : public Transport {
 public:
  std::size_t receive(int descriptor, std::span<const iovec> buffers, time_point deadline,
                      error_code& error) noexcept override;
  std::size_t send(int descriptor, std::span<const iovec> buffers, time_point deadline,
                   error_code& error) noexcept override;
  std::size_t send_unless_input(int descriptor, std::span<const iovec> buffers, time_point deadline,
                                error_code& error) noexcept override;
  void send_to(int descriptor, std::string_view packet, const Address& address, const Host& source,
               error_code& error) noexcept override;
  void set_timeout(int descriptor, std::optional<duration> limit, int how, error_code& error) noexcept override;

 private:
  Timeouts limits_;
};

}  // namespace sockserv::detail
