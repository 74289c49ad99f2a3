#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <sockserv/export.hpp>
#include <string>
#include <string_view>

namespace sockserv::inline abi_0 {

/// Where a server listens or a client is: an IPv4 or IPv6 host and port, a Unix socket's path, a name in Linux's
/// abstract Unix namespace, or nothing (the peer of an unbound Unix socket has no name).
///
/// A value: copies are independent and cheap (no memory is allocated).
///
/// @par Thread safety
/// Distinct objects: safe. Shared objects: unsafe, except for const members.
class SOCKSERV_EXPORT Address {
 public:
  /// No address; `empty()` is true.
  Address() noexcept;

  /// A host and a port (0 lets the system choose one when a server binds).
  ///
  /// `host` is a numeric IPv4 or IPv6 address (with a scope, as in "fe80::1%eth0"), "" for every IPv4 interface, or
  /// a name, which is looked up now: that may block for as long as the resolver does, and the first address wins.
  /// @throws std::invalid_argument if `port` is not within 0 … 65535.
  /// @throws boost::system::system_error if the name cannot be resolved.
  Address(std::string_view host, int port);

  /// A Unix socket's path. One that begins with a NUL byte is a name in the abstract namespace (unix(7)).
  /// @throws std::invalid_argument if it is empty, longer than the 107 bytes that fit, or has a NUL byte inside.
  Address(std::string_view unix_path);  // NOLINT(google-explicit-constructor): a path is an address
  Address(const char* unix_path) : Address(std::string_view(unix_path)) {}         // NOLINT
  Address(const std::string& unix_path) : Address(std::string_view(unix_path)) {}  // NOLINT

  /// What the socket calls return. `length` beyond `sizeof(sockaddr_storage)` is cut.
  static Address from_native(const sockaddr* address, socklen_t length) noexcept;

  /// `AF_INET`, `AF_INET6`, `AF_UNIX`, or `AF_UNSPEC` if empty.
  int family() const noexcept;
  bool empty() const noexcept { return length_ == 0; }
  bool is_ip() const noexcept { return family() == AF_INET || family() == AF_INET6; }
  bool is_unix() const noexcept { return family() == AF_UNIX; }

  /// The numeric host; an IPv4 address mapped into IPv6 (::ffff:192.0.2.1) is given as IPv4. "" if not IP.
  std::string host() const;
  /// The port; 0 if not IP.
  std::uint16_t port() const noexcept;
  /// The path, or a NUL byte and the abstract name. "" if not a Unix address.
  std::string path() const;

  /// "192.0.2.1:80", "[2001:db8::1]:80", "/run/server.sock", "@abstract", or "(unnamed)". Control characters in a path
  /// or name are shown as "?".
  std::string to_string() const;

  /// For the socket calls.
  const sockaddr* data() const noexcept { return &storage_.base; }
  socklen_t size() const noexcept { return length_; }

  friend SOCKSERV_EXPORT bool operator==(const Address& left, const Address& right) noexcept;
  friend SOCKSERV_EXPORT std::ostream& operator<<(std::ostream& stream, const Address& address);

 private:
  union Storage {
    sockaddr base;
    sockaddr_storage any;
  };

  Storage storage_;
  socklen_t length_ = 0;
};

}  // namespace sockserv::inline abi_0
