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

  /// The connection has an `AwaitedInput`. If it throws, the connection is still the caller's.
  AwaitedClient(Connection& connection, const Address& client_address, time_point now);

  Connection& connection() noexcept { return connection_; }
  const Address& client_address() const noexcept { return client_address_; }
  int fileno() const noexcept { return connection_.fileno(); }

  /// Looks at what has come; `events` are those of epoll. Returns true if nothing more is to be awaited: it is enough,
  /// or nothing more can come, or looking has failed.
  bool has_enough(std::uint32_t events) noexcept;
  /// From now on no time runs: what takes time now is the server.
  void stop_clock() noexcept { connection_.limits_.end_preparation(); }

  time_point since() const noexcept { return since_; }
  time_point deadline() const noexcept { return deadline_; }
  void shorten(time_point deadline) noexcept;

  /// Throws what went wrong when it was looked at, if something did.
  void check() const;
  /// Counts that the client was too slow, and throws the error that it is.
  [[noreturn]] void fail();

 private:
  Connection connection_;
  Address client_address_;
  time_point since_;
  ClientLimits::Deadline limit_;
  time_point deadline_;
  std::exception_ptr error_;
};

}  // namespace sockserv::inline abi_0::detail
