#pragma once

#include <sys/socket.h>
#include <sys/types.h>

#include <array>
#include <memory>
#include <optional>
#include <sockserv/address.hpp>
#include <sockserv/connection.hpp>
#include <sockserv/datagram.hpp>
#include <sockserv/detail/descriptor.hpp>
#include <sockserv/detail/packet_info.hpp>
#include <sockserv/error.hpp>
#include <sockserv/export.hpp>
#include <sockserv/options.hpp>
#include <string>
#include <utility>

namespace sockserv::inline abi_0::detail {

/// The socket that a server listens on: bound, listening or receiving, and what is left in the file system.
///
/// The server owns it, and so does each request that answers through it, so that a datagram's reply never goes to a
/// descriptor that has been closed, or reused, meanwhile. It closes with the last owner.
class SOCKSERV_EXPORT ServerSocket {
 public:
  /// Opens a socket of the address's family; `type` is SOCK_STREAM or SOCK_DGRAM.
  ServerSocket(const Address& address, int type);

  /// The address that a socket is bound to.
  static Address address_of(int descriptor);

  /// Takes over a bound (and, for a stream, listening) socket; leaves it to the caller if it throws.
  /// @throws std::invalid_argument if it is not one of that type and a family of sockserv's.
  ServerSocket(int descriptor, int type);

  /// Sets the options, binds, and returns the address that the system says it has.
  Address bind(const Address& address, const ServerOptions& options);

  /// Listens; nothing for datagrams.
  void listen(int queue_size);

  /// The next connection or datagram, if one is there.
  /// @throws boost::system::system_error if there is none for another reason than that.
  std::optional<std::pair<Connection, Address>> accept();
  /// `ahead`: may take several datagrams from the system at once, and keep the rest for the next calls.
  static std::optional<std::pair<Datagram, Address>> receive(const std::shared_ptr<ServerSocket>& socket,
                                                             std::size_t max_packet_size, bool ahead);
  /// True if there are such datagrams, of which the descriptor tells nothing.
  bool has_more() const noexcept { return inbox_ && inbox_->next < inbox_->count; }

  /// Removes the Unix path that `bind` made, if it is still the same file.
  void unlink_path() noexcept;
  /// Leaves the path to the process that made it.
  void keep_path() noexcept { path_.clear(); }

  bool is_stream() const noexcept { return type_ == SOCK_STREAM; }
  /// True once it is bound, and for a stream, listening.
  bool is_listening() const noexcept;
  /// Leaves the descriptor to the caller, even if others own this too.
  int release() noexcept { return socket_.release(); }
  int fileno() const noexcept { return socket_.get(); }

 private:
  /// Datagrams that have been received, and the memory for more.
  struct Inbox {
    static constexpr std::size_t largest = 16;

    Inbox(std::size_t packet_size, std::size_t packets);

    std::size_t size;  // how many there is memory for
    std::unique_ptr<char[]> memory;
    std::array<sockaddr_storage, largest> senders;
    std::array<iovec, largest> spaces;
    std::array<PacketInfoSpace, largest> infos;
    std::array<mmsghdr, largest> headers;
    std::size_t next = 0;
    std::size_t count = 0;
  };

  void ask_for_packet_info(int descriptor, const Address& address);
  bool fill_inbox(std::size_t max_packet_size, bool ahead);
  void set_option(int level, int option, int value, const char* name);

  Descriptor socket_;
  int type_;
  bool has_packet_info_ = false;  // the kernel says where datagrams arrive
  std::unique_ptr<Inbox> inbox_;  // where datagrams land; used by the thread that accepts
  std::string path_;
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

/// What distinguishes the four families of servers.
struct ServerKind {
  const char* name;
  int socket_type;
  bool unix_addresses;
};

inline constexpr ServerKind tcp_server{"TCPServer", SOCK_STREAM, false};
inline constexpr ServerKind udp_server{"UDPServer", SOCK_DGRAM, false};
inline constexpr ServerKind unix_stream_server{"UnixStreamServer", SOCK_STREAM, true};
inline constexpr ServerKind unix_datagram_server{"UnixDatagramServer", SOCK_DGRAM, true};

/// @throws std::invalid_argument if a server of this kind cannot be bound to such an address.
SOCKSERV_EXPORT void require_family(const ServerKind& kind, const Address& address);

/// getsockname(2).
Address local_address(int descriptor, error_code& error) noexcept;

}  // namespace sockserv::inline abi_0::detail
