#pragma once

#include <chrono>
#include <cstdint>
#include <exception>
#include <sockserv/connection.hpp>

namespace sockserv::inline abi_0::detail {

/// A connection whose client has to send something before its request takes a place.
class AwaitedClient {
 public:
  using time_point = std::chrono::steady_clock::time_point;

  /// The connection has a preparation. Nothing throws, so that the caller keeps a connection until it is here.
  AwaitedClient(Connection&& connection, const Address& client_address, time_point now) noexcept;

  Connection& connection() noexcept { return connection_; }
  const Address& client_address() const noexcept { return client_address_; }
  int fileno() const noexcept { return connection_.fileno(); }

  /// Looks at what has come, after these events of epoll; returns true if the preparation can go on.
  bool can_go_on(std::uint32_t events) const;

  time_point since() const noexcept { return since_; }
  time_point deadline() const noexcept { return deadline_; }
  void shorten(time_point deadline) noexcept;
  /// Once the deadline has passed: counts that, and returns the error that it is.
  std::exception_ptr error();

 private:
  Connection connection_;
  Address client_address_;
  time_point since_;
  ClientLimits::Deadline limit_;
  time_point deadline_;
};

}  // namespace sockserv::inline abi_0::detail
