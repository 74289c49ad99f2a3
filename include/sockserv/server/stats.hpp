#pragma once

#include <cstdint>
#include <sockserv/export.hpp>

namespace sockserv::inline abi_0 {

/// Why a server rejects a request.
enum class Rejection {
  full,         ///< No room for it, where the mixin says that such requests are rejected (`WhenFull::reject`).
  per_address,  ///< Its address has `ServerOptions::max_connections_per_address` connections already.
  unverified,   ///< `verify_request()` said no.
};

/// What `AbstractServer::stats()` gives: counts since the server was made, except `active`, in all its processes. Each
/// figure is right, but the server goes on while they are taken: only in one at rest is `accepted` the sum of
/// `rejected`, `completed` and `active`.
struct SOCKSERV_EXPORT ServerStats {
  std::uint64_t accepted = 0;   ///< Connections or datagrams taken.
  std::uint64_t active = 0;     ///< Those that run now: `requests_running()`.
  std::uint64_t completed = 0;  ///< Those whose handler has ended, whatever came of it, and for a child the process.

  std::uint64_t rejected = 0;  ///< All that were rejected, for one of three reasons (see `Rejection`):
  std::uint64_t rejected_full = 0;
  std::uint64_t rejected_per_address = 0;
  std::uint64_t rejected_unverified = 0;

  std::uint64_t aborted_idle_timeout = 0;     ///< Connections aborted by `ServerOptions::idle_timeout`,
  std::uint64_t aborted_request_timeout = 0;  ///< by `ServerOptions::request_timeout`,
  std::uint64_t aborted_prepare_timeout = 0;  ///< by `ServerOptions::prepare_timeout`,
  std::uint64_t aborted_receive_rate = 0;     ///< by `ServerOptions::min_receive_rate`,
  std::uint64_t aborted_drain = 0;            ///< and requests by `drain()`, at its limit.

  std::uint64_t authentication_failures = 0;  ///< Clients rejected because they had not proved that they know a key.

  std::uint64_t handler_errors = 0;  ///< Errors handed to `handle_error()`, except those above and peers gone.
  std::uint64_t peers_gone = 0;      ///< Errors that say that the peer has gone.
  std::uint64_t accept_errors = 0;   ///< Failures of `get_request()`.

  /// Bytes received and sent. Those of live connections are included; in other processes of the server, all but the
  /// last 64 KiB of each. A datagram counts as what it holds.
  std::uint64_t bytes_in = 0;
  std::uint64_t bytes_out = 0;

  /// The sum of each figure.
  ServerStats& operator+=(const ServerStats& other) noexcept;
};

namespace detail {

struct Counters;

/// What has been counted there. `active` is not: it stays 0.
SOCKSERV_EXPORT ServerStats stats_of(const Counters& counters) noexcept;

}  // namespace detail
}  // namespace sockserv::inline abi_0
