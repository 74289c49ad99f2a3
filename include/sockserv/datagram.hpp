#pragma once

#include <memory>
#include <sockserv/address.hpp>
#include <sockserv/detail/admission.hpp>
#include <sockserv/detail/live_requests.hpp>
#include <sockserv/detail/packet_info.hpp>
#include <sockserv/detail/transport.hpp>
#include <sockserv/error.hpp>
#include <sockserv/export.hpp>
#include <sockserv/fwd.hpp>
#include <string>
#include <string_view>
#include <utility>

namespace sockserv::inline abi_0 {

namespace detail {
class ServerSocket;
}  // namespace detail

/// The socket of a datagram server, as its handlers see it: they answer with it.
///
/// A machine may have several addresses, and a client expects the answer from the one that it asked (RFC
/// 1122, 4.1.3.5). So what is sent to the host that the request came from leaves from the address that this host sent
/// the request to. For other hosts the system chooses, unless the handler says from where.
///
/// @par Thread safety
/// Safe: any number of threads may send.
///
/// @par Lifetime
/// The request owns it. A copy must not outlive the server.
class SOCKSERV_EXPORT DatagramSocket {
 public:
  explicit DatagramSocket(std::shared_ptr<detail::ServerSocket> socket,
                          detail::Transport& transport = detail::blocking(),
                          const detail::PacketInfo& info = {}) noexcept;

  /// Sends one datagram. An error, such as `EMSGSIZE` for one too large for the network, concerns that one only.
  /// Reports `errc::no_reply_address` where `address` is empty; `EINVAL`, `ENODEV` or `ENETUNREACH` where this machine
  /// no longer has the address that the client sent its request to: no answer is sent from another.
  void sendto(std::string_view packet, const Address& address);
  void sendto(std::string_view packet, const Address& address, error_code& error) noexcept;

  /// Sends one datagram from an address of this machine: to one who asked at that address earlier, for example, which
  /// was the `Datagram::local_address()` then. The port of `from` does not matter; its scope, for IPv6, is the
  /// interface to send by. Where `from` is empty, or the wildcard address, the system chooses. If the system cannot
  /// send from there, reports one of the same errors.
  void sendto(std::string_view packet, const Address& address, const Address& from);
  void sendto(std::string_view packet, const Address& address, const Address& from, error_code& error) noexcept;

  /// Returns the descriptor. It stays open until the last request that arrived on it is done, even if the server was
  /// closed before that.
  int fileno() const noexcept;
  Address getsockname() const;

 private:
  friend class Datagram;

  void send_from(const detail::Host& source, std::string_view packet, const Address& address,
                 error_code& error) noexcept;

  std::shared_ptr<detail::ServerSocket> socket_;
  detail::Transport* transport_;
  detail::PacketInfo info_;
  detail::Counters* counters_ = nullptr;
};

/// One datagram, and the socket to answer with: what a handler of UDPServer or UnixDatagramServer serves.
class SOCKSERV_EXPORT Datagram {
 public:
  Datagram(std::string packet, bool truncated, DatagramSocket socket)
      : packet_(std::move(packet)), truncated_(truncated), socket_(std::move(socket)) {}

  /// The datagram's content. Empty is a valid datagram.
  const std::string& packet() const noexcept { return packet_; }
  /// True if the datagram was longer than `ServerOptions::max_packet_size` and the rest of it is lost.
  bool truncated() const noexcept { return truncated_; }
  DatagramSocket& socket() noexcept { return socket_; }

  /// @name Where it arrived
  /// The functions that return an address ask the system for the port of the server. Empty for Unix sockets.
  /// @{

  /// Returns the address that the client sent it to. It may be a multicast or broadcast address.
  Address sent_to() const noexcept;
  /// Returns the address of this machine that answers leave from: `sent_to()`, or instead of a multicast or broadcast
  /// address one of the interface. For IPv6 multicast that is the wildcard address with the interface as its scope: the
  /// system chooses an address of that interface.
  Address local_address() const noexcept;
  /// Returns the index of the interface where it arrived, as if_indextoname(3) takes it. 0 if the server does not know:
  /// it is bound to one address, or the socket is a Unix socket.
  unsigned interface_index() const noexcept { return socket_.info_.interface; }
  /// @}

 private:
  template <class Handler>
  friend class BaseServer;
  friend class DatagramRequestHandler;

  struct PreparationLimits {  // a datagram has no limits
    PreparationLimits(Datagram&, const ServerOptions&) noexcept {}
  };

  void replace_client_address(const Address& sender, const Address& address) {
    client_address_ = std::make_unique<const Address>(address);
    sender_ = std::make_unique<const Address>(sender);
  }

  void enter(detail::LiveRequests& all, detail::Counters& counters, const ServerOptions&);
  void use_transport(detail::Transport& transport) noexcept { socket_.transport_ = &transport; }

  std::string packet_;
  bool truncated_;
  DatagramSocket socket_;
  detail::LiveRequest live_;
  detail::Admission admission_;
  bool is_prepared_ = false;
  // Null, or the address that a layer gave the request, and the one that the datagram came from.
  std::unique_ptr<const Address> client_address_;
  std::unique_ptr<const Address> sender_;
};

}  // namespace sockserv::inline abi_0
