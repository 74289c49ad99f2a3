#include <sockserv/detail/server_socket.hpp>

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/stat.h>

#include <cerrno>
#include <filesystem>
#include <stdexcept>

#include "../socket/unix_path.hpp"
#include "../transport/transfer.hpp"

namespace sockserv::inline abi_0::detail {
namespace {

Descriptor open_socket(int family, int type) {
  Descriptor socket(::socket(family, type | SOCK_CLOEXEC, 0));
  if (!socket) throw_error(last_system_error(), "socket");
  return socket;
}

int int_option(int descriptor, int option) {
  int value = 0;
  socklen_t length = sizeof value;
  if (::getsockopt(descriptor, SOL_SOCKET, option, &value, &length) != 0) {
    const error_code error = last_system_error();
    throw_error(error, "descriptor " + std::to_string(descriptor) + " cannot be served");
  }
  return value;
}

void change_flags(int descriptor, int get, int set, int add, int remove) {
  const int old = ::fcntl(descriptor, get);
  if (old < 0 || ::fcntl(descriptor, set, (old | add) & ~remove) < 0) throw_error(last_system_error(), "fcntl");
}

/// How long a reply may wait for room at a Unix peer that does not read: meanwhile it holds up all others.
constexpr timeval longest_reply_wait{5, 0};

/// Connections are accepted without blocking: one that poll() announced may have gone. A datagram socket is shared with
/// the handlers, whose replies do wait, so there it is each receive that says it will not.
void make_ready(int descriptor, int type) {
  if (type == SOCK_STREAM) return change_flags(descriptor, F_GETFL, F_SETFL, O_NONBLOCK, 0);
  change_flags(descriptor, F_GETFL, F_SETFL, 0, O_NONBLOCK);
  if (::setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &longest_reply_wait, sizeof longest_reply_wait) != 0) {
    throw_error(last_system_error(), "SO_SNDTIMEO");
  }
}

/// Returns what to do about an address that cannot be bound, as far as that is known.
std::string advice(const error_code& error, const Address& address) {
  const bool privileged = error == boost::system::errc::permission_denied && address.is_ip();
  return privileged ? " (ports below net.ipv4.ip_unprivileged_port_start need CAP_NET_BIND_SERVICE)" : "";
}

}  // namespace

ServerSocket::ServerSocket(const Address& address, int type)
    : socket_(open_socket(address.family(), type)), type_(type) {
  make_ready(fileno(), type);
}

ServerSocket::ServerSocket(int descriptor, int type) : type_(type) {
  const std::string name = "descriptor " + std::to_string(descriptor);
  if (int_option(descriptor, SO_TYPE) != type) {
    throw std::invalid_argument(name + (type == SOCK_STREAM ? " is not a stream socket" : " is not a datagram socket"));
  }
  if (type == SOCK_STREAM && int_option(descriptor, SO_ACCEPTCONN) == 0) {
    throw std::invalid_argument(name + " is not listening; call listen() before it is adopted");
  }
  change_flags(descriptor, F_GETFD, F_SETFD, FD_CLOEXEC, 0);
  make_ready(descriptor, type);
  ask_for_packet_info(descriptor, address_of(descriptor));
  socket_.reset(descriptor);
}

Address ServerSocket::address_of(int descriptor) {
  error_code error;
  Address address = local_address(descriptor, error);
  if (error) throw_error(error, "descriptor " + std::to_string(descriptor) + " cannot be served");
  return address;
}

void ServerSocket::set_option(int level, int option, int value, const char* name) {
  if (::setsockopt(fileno(), level, option, &value, sizeof value) != 0) throw_error(last_system_error(), name);
}

void ServerSocket::ask_for_packet_info(int descriptor, const Address& address) {
  has_packet_info_ = type_ == SOCK_DGRAM && needs_packet_info(address);
  if (has_packet_info_) detail::ask_for_packet_info(descriptor, address.family());
}

Address ServerSocket::bind(const Address& address, const ServerOptions& options) {
  if (address.is_ip() && type_ == SOCK_STREAM) {
    set_option(SOL_SOCKET, SO_REUSEADDR, options.allow_reuse_address, "SO_REUSEADDR");
  }
  if (options.allow_reuse_port) {
    if (!address.is_ip()) throw std::invalid_argument("ServerOptions::allow_reuse_port: Unix sockets cannot share");
    set_option(SOL_SOCKET, SO_REUSEPORT, 1, "SO_REUSEPORT");
  }
  if (address.family() == AF_INET6) {
    set_option(IPPROTO_IPV6, IPV6_V6ONLY, !options.dual_stack, "IPV6_V6ONLY");
  } else if (options.dual_stack) {
    throw std::invalid_argument("ServerOptions::dual_stack needs an IPv6 address (such as \"::\"), not " +
                                address.to_string());
  }

  ask_for_packet_info(fileno(), address);

  const auto try_to_bind = [&] {
    return ::bind(fileno(), address.data(), address.size()) == 0 ? error_code() : last_system_error();
  };
  error_code error = try_to_bind();
  if (error == boost::system::errc::address_in_use && options.allow_reuse_address && is_stale(address)) {
    const FolderLock lock(address);
    if (is_stale(address) && ::unlink(address.path().c_str()) != 0) {
      throw_error(last_system_error(), "cannot bind to " + address.to_string() +
                                           ": a server left this path when it ended, and it cannot be removed");
    }
    error = try_to_bind();
  }
  if (error) throw_error(error, "cannot bind to " + address.to_string() + advice(error, address));

  if (address.is_unix() && address.path().front() != '\0') {
    struct stat file{};
    if (::lstat(address.path().c_str(), &file) == 0) {
      path_ = std::filesystem::absolute(address.path());  // the program may change its folder
      device_ = file.st_dev;
      inode_ = file.st_ino;
    }
  }
  return address_of(fileno());
}

void ServerSocket::listen(int queue_size) {
  if (type_ == SOCK_STREAM && ::listen(fileno(), queue_size) != 0) throw_error(last_system_error(), "listen");
}

std::optional<std::pair<Connection, Address>> ServerSocket::accept() {
  sockaddr_storage storage;
  auto* const native = reinterpret_cast<sockaddr*>(&storage);
  for (;;) {
    socklen_t length = sizeof storage;
    Descriptor connection(::accept4(fileno(), native, &length, SOCK_CLOEXEC));
    if (connection) {
      const Address peer = Address::from_native(native, length);
      return std::optional<std::pair<Connection, Address>>(std::in_place, Connection(std::move(connection), peer),
                                                           peer);
    }
    if (errno == EINTR) continue;
    if (would_block()) return std::nullopt;
    throw_error(last_system_error(), "accept");
  }
}

ServerSocket::Inbox::Inbox(std::size_t packet_size, std::size_t packets)
    : size(packets), memory(std::make_unique_for_overwrite<char[]>(packets * packet_size)) {
  for (std::size_t i = 0; i < size; ++i) {
    spaces[i] = {memory.get() + i * packet_size, packet_size};
    headers[i] = {};
    headers[i].msg_hdr.msg_name = &senders[i];
    headers[i].msg_hdr.msg_iov = &spaces[i];
    headers[i].msg_hdr.msg_iovlen = 1;
    headers[i].msg_hdr.msg_control = infos[i].bytes;
  }
}

/// False if no datagram is there.
bool ServerSocket::fill_inbox(std::size_t max_packet_size, bool ahead) {
  if (max_packet_size > ServerOptions().max_packet_size) ahead = false;  // one takes enough memory
  if (!inbox_ || (ahead && inbox_->size < Inbox::largest)) {
    inbox_ = std::make_unique<Inbox>(max_packet_size, ahead ? Inbox::largest : 1);
  }
  Inbox& inbox = *inbox_;
  inbox.next = inbox.count = 0;
  for (mmsghdr& header : inbox.headers) {
    header.msg_hdr.msg_namelen = sizeof(sockaddr_storage);
    header.msg_hdr.msg_controllen = has_packet_info_ ? sizeof(PacketInfoSpace) : 0;
  }
  for (;;) {
    const int count = ::recvmmsg(fileno(), inbox.headers.data(), ahead ? Inbox::largest : 1, MSG_DONTWAIT, nullptr);
    if (count >= 0) {
      inbox.count = static_cast<std::size_t>(count);
      return count > 0;
    }
    if (errno == EINTR) continue;
    if (would_block()) return false;
    throw_error(last_system_error(), "recvmmsg");
  }
}

std::optional<std::pair<Datagram, Address>> ServerSocket::receive(const std::shared_ptr<ServerSocket>& socket,
                                                                  std::size_t max_packet_size, bool ahead) {
  if (!socket->has_more() && !socket->fill_inbox(max_packet_size, ahead)) return std::nullopt;
  Inbox& inbox = *socket->inbox_;
  mmsghdr& message = inbox.headers[inbox.next];
  const char* const bytes = inbox.memory.get() + inbox.next * max_packet_size;
  ++inbox.next;
  return std::optional<std::pair<Datagram, Address>>(
      std::in_place,
      Datagram(std::string(bytes, message.msg_len), (message.msg_hdr.msg_flags & MSG_TRUNC) != 0,
               DatagramSocket(socket, blocking(), PacketInfo::of(message.msg_hdr))),
      Address::from_native(static_cast<const sockaddr*>(message.msg_hdr.msg_name), message.msg_hdr.msg_namelen));
}

bool ServerSocket::is_listening() const noexcept {
  if (type_ == SOCK_STREAM) {
    int listening = 0;
    socklen_t length = sizeof listening;
    return ::getsockopt(fileno(), SOL_SOCKET, SO_ACCEPTCONN, &listening, &length) == 0 && listening != 0;
  }
  error_code error;
  const Address address = local_address(fileno(), error);
  return address.is_unix() || address.port() != 0;
}

void ServerSocket::unlink_path() noexcept {
  struct stat file{};
  if (!path_.empty() && ::lstat(path_.c_str(), &file) == 0 && file.st_dev == device_ && file.st_ino == inode_) {
    ::unlink(path_.c_str());
  }
  path_.clear();
}

void require_family(const ServerKind& kind, const Address& address) {
  if (kind.unix_addresses ? address.is_unix() : address.is_ip()) return;
  throw std::invalid_argument(
      std::string(kind.name) +
      (kind.unix_addresses ? " needs the path of a Unix socket, not " : " needs a host and a port, not ") +
      address.to_string());
}

Address local_address(int descriptor, error_code& error) noexcept {
  sockaddr_storage storage;
  auto* const native = reinterpret_cast<sockaddr*>(&storage);
  socklen_t length = sizeof storage;
  if (::getsockname(descriptor, native, &length) != 0) {
    error = last_system_error();
    return {};
  }
  error.clear();
  return Address::from_native(native, length);
}

}  // namespace sockserv::inline abi_0::detail
