#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <sockserv/address.hpp>

namespace sockserv::inline abi_0::detail {

/// A host, without a port: an IP address and, where the address has a scope, an interface. IPv4 is mapped into IPv6.
struct Host {
  in6_addr address{};      ///< `::`: none.
  unsigned interface = 0;  ///< The index of the interface; 0: none.

  /// Returns the host of an IP address; none of any other.
  static Host of(const sockaddr* address) noexcept;

  /// Returns false if this names neither an address nor an interface.
  bool is_given() const noexcept { return interface != 0 || !IN6_IS_ADDR_UNSPECIFIED(&address); }
  bool is_ipv4() const noexcept { return IN6_IS_ADDR_V4MAPPED(&address); }
  /// Returns the IPv4 address, if it is one.
  in_addr ipv4() const noexcept;

  friend bool operator==(const Host& left, const Host& right) noexcept {
    return left.interface == right.interface && IN6_ARE_ADDR_EQUAL(&left.address, &right.address);
  }
};

/// Where a datagram arrived, as the kernel says with IP_PKTINFO (ip(7)) and IPV6_RECVPKTINFO (ipv6(7)).
struct PacketInfo {
  in6_addr destination{};  ///< The address in the datagram's head, IPv4 mapped into IPv6; `::` if the kernel said none.
  unsigned interface = 0;  ///< The index of the interface; 0 if the kernel said none.
  in_addr suggestion{};    ///< For IPv4: what the kernel would answer from; 0.0.0.0 if it said nothing.
  Host sender;             ///< Known if `destination` is.

  /// Reads what the kernel said of a datagram.
  static PacketInfo of(msghdr& message) noexcept {
    return message.msg_controllen > 0 ? read_from(message) : PacketInfo();
  }

  /// Returns where answers are sent from: never a multicast or broadcast address. `::` with an interface: the system
  /// chooses one of its addresses; without: the system chooses.
  Host source() const noexcept;
  /// Returns where to send from to this destination: to the sender's host, from the address that it asked at; to others
  /// as the system chooses.
  Host source_for(const Address& address) const noexcept {
    return is_known() && Host::of(address.data()) == sender ? source() : Host();
  }

  /// Returns the address that the datagram was sent to, given the socket's own.
  Address sent_to(const Address& own) const noexcept;
  /// Returns the address that answers are sent from, given the socket's own.
  Address answered_from(const Address& own) const noexcept;

 private:
  static PacketInfo read_from(msghdr& message) noexcept;
  bool is_known() const noexcept { return !IN6_IS_ADDR_UNSPECIFIED(&destination); }
};

/// Room for what the kernel says of a datagram: for IPv4 on a socket of IPv6 both structures. It is larger than these
/// because an adopted socket may have been asked for more, which comes first.
struct alignas(cmsghdr) PacketInfoSpace {
  char bytes[256];
};

/// Returns true if datagrams to a socket that is bound to this address may have been sent to more than one address, or
/// to one that is no source: the address is a wildcard, multicast or broadcast address.
bool needs_packet_info(const Address& bound) noexcept;

/// Has the kernel say where each datagram arrived. To be called before the socket is bound: of datagrams that arrive
/// earlier the kernel does not note everything.
/// @throws boost::system::system_error if the kernel refuses.
void ask_for_packet_info(int descriptor, int family);

}  // namespace sockserv::inline abi_0::detail
