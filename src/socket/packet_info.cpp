#include <sockserv/detail/packet_info.hpp>

#include <cerrno>
#include <cstring>
#include <sockserv/detail/descriptor.hpp>
#include <sockserv/error.hpp>

namespace sockserv::inline abi_0::detail {
namespace {

template <class Native>
Native read_as(const void* bytes) noexcept {
  Native native;
  std::memcpy(&native, bytes, sizeof native);
  return native;
}

in6_addr mapped(in_addr address) noexcept {
  in6_addr result{};
  result.s6_addr[10] = result.s6_addr[11] = 0xff;
  std::memcpy(&result.s6_addr[12], &address, sizeof address);
  return result;
}
in_addr unmapped(const in6_addr& address) noexcept { return read_as<in_addr>(&address.s6_addr[12]); }

bool is_any(in_addr address) noexcept { return address.s_addr == INADDR_ANY; }
bool is_multicast(in_addr address) noexcept { return IN_MULTICAST(ntohl(address.s_addr)); }
bool has_scope(const in6_addr& address) noexcept {
  return IN6_IS_ADDR_LINKLOCAL(&address) || IN6_IS_ADDR_MC_LINKLOCAL(&address) || IN6_IS_ADDR_MC_NODELOCAL(&address);
}

/// Returns true for the broadcast address of a network of this machine: connect(2) demands SO_BROADCAST for it.
bool is_broadcast(in_addr address) noexcept {
  sockaddr_in native{};
  native.sin_family = AF_INET;
  native.sin_addr = address;
  const Descriptor probe(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  return probe && ::connect(probe.get(), reinterpret_cast<const sockaddr*>(&native), sizeof native) != 0 &&
         errno == EACCES;
}

/// Returns `own`, which keeps its family and port, with another host.
Address with_host(const Address& own, const Host& host) noexcept {
  if (own.family() == AF_INET) {
    auto native = read_as<sockaddr_in>(own.data());
    native.sin_addr = host.ipv4();
    return Address::from_native(reinterpret_cast<const sockaddr*>(&native), sizeof native);
  }
  auto native = read_as<sockaddr_in6>(own.data());
  native.sin6_addr = host.address;
  native.sin6_scope_id = host.interface;
  return Address::from_native(reinterpret_cast<const sockaddr*>(&native), sizeof native);
}

void turn_on(int descriptor, int level, int option, const char* name) {
  const int on = 1;
  if (::setsockopt(descriptor, level, option, &on, sizeof on) != 0) throw_error(last_system_error(), name);
}

}  // namespace

Host Host::of(const sockaddr* address) noexcept {
  if (address->sa_family == AF_INET) return {mapped(read_as<sockaddr_in>(address).sin_addr)};
  if (address->sa_family != AF_INET6) return {};
  const auto native = read_as<sockaddr_in6>(address);
  return {native.sin6_addr, native.sin6_scope_id};
}

in_addr Host::ipv4() const noexcept { return unmapped(address); }

PacketInfo PacketInfo::read_from(msghdr& message) noexcept {
  PacketInfo info;
  info.sender = Host::of(static_cast<const sockaddr*>(message.msg_name));
  for (cmsghdr* each = CMSG_FIRSTHDR(&message); each; each = CMSG_NXTHDR(&message, each)) {
    if (each->cmsg_level == IPPROTO_IP && each->cmsg_type == IP_PKTINFO) {
      const auto said = read_as<in_pktinfo>(CMSG_DATA(each));
      info.destination = mapped(said.ipi_addr);
      info.interface = static_cast<unsigned>(said.ipi_ifindex);
      info.suggestion = said.ipi_spec_dst;
      break;
    }
    if (each->cmsg_level == IPPROTO_IPV6 && each->cmsg_type == IPV6_PKTINFO) {
      const auto said = read_as<in6_pktinfo>(CMSG_DATA(each));
      info.destination = said.ipi6_addr;
      info.interface = static_cast<unsigned>(said.ipi6_ifindex);
      // Of an IPv4 datagram the other structure says more.
      if (!IN6_IS_ADDR_V4MAPPED(&info.destination)) break;
    }
  }
  return info;
}

Host PacketInfo::source() const noexcept {
  if (IN6_IS_ADDR_V4MAPPED(&destination)) {
    if (!is_any(suggestion)) return {mapped(suggestion)};
    // The kernel suggests nothing for what arrived before it was asked.
    const in_addr address = unmapped(destination);
    return is_multicast(address) || is_broadcast(address) ? Host() : Host{destination};
  }
  if (IN6_IS_ADDR_MULTICAST(&destination)) return {{}, interface};
  return {destination, has_scope(destination) ? interface : 0};
}

Address PacketInfo::sent_to(const Address& own) const noexcept {
  if (!own.is_ip() || !is_known()) return own;
  return with_host(own, {destination, has_scope(destination) ? interface : 0});
}

Address PacketInfo::answered_from(const Address& own) const noexcept {
  const Host host = source();
  return own.is_ip() && host.is_given() ? with_host(own, host) : own;
}

bool needs_packet_info(const Address& bound) noexcept {
  if (!bound.is_ip()) return false;
  const Host host = Host::of(bound.data());
  if (!host.is_ipv4()) return IN6_IS_ADDR_UNSPECIFIED(&host.address) || IN6_IS_ADDR_MULTICAST(&host.address);
  return is_any(host.ipv4()) || is_multicast(host.ipv4()) || is_broadcast(host.ipv4());
}

void ask_for_packet_info(int descriptor, int family) {
  turn_on(descriptor, IPPROTO_IP, IP_PKTINFO, "IP_PKTINFO");  // IPv4 may come to a socket of IPv6
  if (family == AF_INET6) turn_on(descriptor, IPPROTO_IPV6, IPV6_RECVPKTINFO, "IPV6_RECVPKTINFO");
}

}  // namespace sockserv::inline abi_0::detail
