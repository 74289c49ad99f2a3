#pragma once

#include <chrono>
#include <cstddef>
#include <sockserv/connection.hpp>
#include <sockserv/fwd.hpp>
#include <span>

namespace sockserv::inline abi_0::detail {

/// A connection whose handler has returned while bytes from the client were unread. Closing it now would reset it, and
/// a reset destroys the part of the answer that has not reached the client. So whatever arrives is discarded until the
/// client closes too, or until a limit is reached (RFC 9112, section 9.6).
class Lingering {
 public:
  using duration = std::chrono::steady_clock::duration;
  using time_point = std::chrono::steady_clock::time_point;

  /// How long the client may neither send nor take anything.
  static constexpr duration patience = std::chrono::seconds(2);

  /// Ends the sending direction of a connection whose handler has returned; returns true if it has to linger. If the
  /// end of what the client sends was read, it does neither, because closing has the same effect.
  static bool begins_with(Connection& connection) noexcept;

  /// `options.linger_timeout` has a value.
  Lingering(Connection&& connection, const ServerOptions& options, time_point now);

  int fileno() const noexcept { return connection_.fileno(); }
  /// Discards what has come, by way of `scratch`.
  void discard(std::span<char> scratch, time_point now) noexcept;
  /// Returns true if the connection is to be closed.
  bool is_over(time_point now) noexcept;
  /// Returns when that may change although nothing comes.
  time_point deadline() const noexcept;
  /// Discards until the connection is to be closed.
  void finish() noexcept;

 private:
  int untaken() const noexcept;

  Connection connection_;
  const time_point end_;
  std::size_t bytes_left_;
  time_point patient_until_;
  int untaken_ = untaken();  // when it was last looked at
  bool has_ended_ = false;
};

}  // namespace sockserv::inline abi_0::detail
