#include <sockserv/address.hpp>

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <cstring>
#include <ostream>
#include <sockserv/detail/text.hpp>
#include <stdexcept>

#include "resolve.hpp"

namespace sockserv::inline abi_0 {
namespace {

namespace ip = boost::asio::ip;

constexpr std::size_t path_offset = offsetof(sockaddr_un, sun_path);
constexpr std::size_t longest_path = sizeof(sockaddr_un::sun_path) - 1;

ip::address resolve(std::string_view host) {
  if (host.empty()) return ip::address_v4::any();
  if (const auto numeric = detail::numeric_host(host)) return *numeric;

  boost::asio::io_context context;
  boost::system::error_code error;
  const auto found = ip::tcp::resolver(context).resolve(host, "", error);
  if (error) detail::throw_cannot_resolve(host, error);
  return found.begin()->endpoint().address();
}

/// Reads the stored bytes as the address structure of one family.
template <class Native>
Native read_as(const sockaddr* address) {
  Native native;
  std::memcpy(&native, address, sizeof native);
  return native;
}

}  // namespace

Address::Address() noexcept { std::memset(&storage_, 0, sizeof storage_); }

Address::Address(std::string_view host, int port) : Address() {
  detail::check_port(port, 0);
  const ip::tcp::endpoint endpoint(resolve(host), static_cast<std::uint16_t>(port));
  std::memcpy(&storage_, endpoint.data(), endpoint.size());
  length_ = static_cast<socklen_t>(endpoint.size());
}

Address::Address(std::string_view unix_path) : Address() {
  const bool abstract = !unix_path.empty() && unix_path.front() == '\0';
  if (unix_path.empty()) throw std::invalid_argument("a Unix socket's path is empty");
  if (!abstract && unix_path.find('\0') != unix_path.npos) {
    throw std::invalid_argument("a Unix socket's path has a NUL byte inside");
  }
  if (unix_path.size() > longest_path) {
    throw std::invalid_argument("a Unix socket's path of " + std::to_string(unix_path.size()) + " bytes ('" +
                                std::string(unix_path) + "') is too long: " + std::to_string(longest_path) + " fit");
  }
  sockaddr_un native{};
  native.sun_family = AF_UNIX;
  std::memcpy(native.sun_path, unix_path.data(), unix_path.size());
  std::memcpy(&storage_, &native, sizeof native);
  length_ = static_cast<socklen_t>(path_offset + unix_path.size() + (abstract ? 0 : 1));
}

Address Address::from_native(const sockaddr* address, socklen_t length) noexcept {
  Address result;
  // An unnamed Unix socket reports a family and nothing more.
  if (length <= sizeof(sa_family_t)) return result;
  // A path that fills its field is reported one byte longer than the field, for the NUL that did not fit.
  result.length_ = std::min<socklen_t>(length, address->sa_family == AF_UNIX ? sizeof(sockaddr_un) : sizeof(Storage));
  std::memcpy(&result.storage_, address, result.length_);
  return result;
}

int Address::family() const noexcept { return empty() ? AF_UNSPEC : storage_.base.sa_family; }

std::string Address::host() const {
  if (family() == AF_INET) {
    return ip::address_v4(ntohl(read_as<sockaddr_in>(data()).sin_addr.s_addr)).to_string();
  }
  if (family() != AF_INET6) return {};
  const auto native = read_as<sockaddr_in6>(data());
  ip::address_v6::bytes_type bytes;
  std::memcpy(bytes.data(), &native.sin6_addr, bytes.size());
  const ip::address_v6 address(bytes, native.sin6_scope_id);
  if (address.is_v4_mapped()) return ip::make_address_v4(ip::v4_mapped, address).to_string();
  return address.to_string();
}

std::uint16_t Address::port() const noexcept {
  if (family() == AF_INET) return ntohs(read_as<sockaddr_in>(data()).sin_port);
  if (family() == AF_INET6) return ntohs(read_as<sockaddr_in6>(data()).sin6_port);
  return 0;
}

std::string Address::path() const {
  if (!is_unix()) return {};
  const auto native = read_as<sockaddr_un>(data());
  const std::size_t length = length_ - path_offset;
  if (native.sun_path[0] == '\0') return {native.sun_path, length};
  return {native.sun_path, ::strnlen(native.sun_path, length)};
}

std::string Address::to_string() const {
  if (empty()) return "(unnamed)";
  if (is_unix()) {
    // A peer names itself as it likes, and this goes into logs and on screens.
    std::string text = path();
    if (text.front() == '\0') text.front() = '@';
    return detail::printable(text);
  }
  const std::string host = this->host();
  const bool brackets = host.find(':') != host.npos;
  return (brackets ? "[" + host + "]" : host) + ":" + std::to_string(port());
}

bool operator==(const Address& left, const Address& right) noexcept {
  return left.length_ == right.length_ && std::memcmp(left.data(), right.data(), left.length_) == 0;
}

std::ostream& operator<<(std::ostream& stream, const Address& address) { return stream << address.to_string(); }

}  // namespace sockserv::inline abi_0
