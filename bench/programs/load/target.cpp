#include "target.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <system_error>

namespace load {
namespace {

/// A connection needs a port, a closed one too for a while (TIME_WAIT), and an address has some 28,000. Connecting from
/// this many addresses in turn, we do not run out.
constexpr unsigned sources = 64;

void check(int result, const char* what) {
  if (result < 0) throw std::system_error(errno, std::system_category(), what);
}

std::invalid_argument not_a_target(std::string_view text, const char* why) {
  return std::invalid_argument(std::string(text) + ": " + why);
}

std::uint16_t parse_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size() || port == 0) {
    throw not_a_target(text, "a port is a number from 1 to 65535");
  }
  return htons(port);
}

}  // namespace

Target::Target(std::string_view url) {
  constexpr struct {
    std::string_view scheme;
    int type;
    void (Target::*parse)(std::string_view);
  } kinds[] = {{"tcp://", SOCK_STREAM, &Target::parse_ip},
               {"udp://", SOCK_DGRAM, &Target::parse_ip},
               {"unix://", SOCK_STREAM, &Target::parse_unix},
               {"unixgram://", SOCK_DGRAM, &Target::parse_unix}};
  for (const auto& kind : kinds) {
    if (!url.starts_with(kind.scheme)) continue;
    type_ = kind.type;
    (this->*kind.parse)(url.substr(kind.scheme.size()));
    return;
  }
  throw not_a_target(url, "a target begins with tcp://, udp://, unix:// or unixgram://");
}

void Target::parse_ip(std::string_view host_and_port) {
  const std::size_t colon = host_and_port.rfind(':');
  if (colon == host_and_port.npos) throw not_a_target(host_and_port, "there is no port");
  const std::uint16_t port = parse_port(host_and_port.substr(colon + 1));
  std::string host(host_and_port.substr(0, colon));

  auto& v4 = reinterpret_cast<sockaddr_in&>(address_);
  auto& v6 = reinterpret_cast<sockaddr_in6&>(address_);
  if (host.starts_with('[') && host.ends_with(']')) {
    host = host.substr(1, host.size() - 2);
    v6.sin6_family = AF_INET6;
    v6.sin6_port = port;
    length_ = sizeof v6;
    if (::inet_pton(AF_INET6, host.c_str(), &v6.sin6_addr) == 1 && IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr)) return;
  } else {
    v4.sin_family = AF_INET;
    v4.sin_port = port;
    length_ = sizeof v4;
    if (::inet_pton(AF_INET, host.c_str(), &v4.sin_addr) == 1 && ntohl(v4.sin_addr.s_addr) >> 24 == 127) return;
  }
  throw not_a_target(host_and_port, "only 127.0.0.0/8 and [::1] are put under load");
}

void Target::parse_unix(std::string_view path) {
  auto& address = reinterpret_cast<sockaddr_un&>(address_);
  if (path.empty()) throw not_a_target(path, "there is no path");
  if (path.size() >= sizeof address.sun_path) throw not_a_target(path, "the path is too long");
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  const bool is_abstract = path.starts_with('@');
  if (is_abstract) address.sun_path[0] = '\0';
  // An abstract name ends with the address, a path with a NUL byte.
  length_ = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + (is_abstract ? 0 : 1));
}

Socket Target::connect() {
  Socket socket(::socket(address_.ss_family, type_ | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  check(socket.fileno(), "socket");
  choose_source(socket.fileno());
  const int result = ::connect(socket.fileno(), reinterpret_cast<const sockaddr*>(&address_), length_);
  if (result < 0 && errno != EINPROGRESS) check(result, "connect");
  return socket;
}

void Target::choose_source(int socket) {
  if (has_sources()) {
    // The port is left to connect(), which needs it to be unique for this target only.
    const int no_port = 1;
    check(::setsockopt(socket, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &no_port, sizeof no_port),
          "IP_BIND_ADDRESS_NO_PORT");
    sockaddr_in source{};
    source.sin_family = AF_INET;
    source.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + skipped_sources_ + next_source_++ % sources);
    check(::bind(socket, reinterpret_cast<const sockaddr*>(&source), sizeof source), "bind");
  } else if (address_.ss_family == AF_UNIX && !is_stream()) {
    // Without a name nobody could answer; the kernel makes one up.
    const sockaddr unnamed{AF_UNIX, {}};
    check(::bind(socket, &unnamed, sizeof unnamed.sa_family), "bind");
  }
}

}  // namespace load
