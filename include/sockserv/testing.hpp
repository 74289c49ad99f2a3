#pragma once

/// Trying handlers without a socket, for unit tests of applications.

#include <limits>
#include <optional>
#include <sockserv/detail/transport.hpp>
#include <sockserv/export.hpp>
#include <sockserv/server/tcp.hpp>
#include <sockserv/server/udp.hpp>
#include <string>
#include <string_view>
#include <type_traits>

namespace sockserv::inline abi_0::testing {

/// How the client of `converse` behaves.
struct ConverseOptions {
  /// The most bytes that arrive at a time; at least 1. 1 shows whether a handler depends on how its input is cut.
  std::size_t piece_size = std::numeric_limits<std::size_t>::max();
  /// What the handler sees as `client_address`.
  Address client_address{"127.0.0.1", 49152};
};

}  // namespace sockserv::inline abi_0::testing

namespace sockserv::inline abi_0::detail {

/// A client made of strings, in place of a socket.
class SOCKSERV_EXPORT ScriptedClient final : public Transport {
 public:
  ScriptedClient(std::string_view input, std::size_t piece_size, const Address& address);

  std::size_t receive(int descriptor, std::span<const iovec> buffers, WaitLimit limit,
                      error_code& error) noexcept override;
  std::size_t send(int descriptor, std::span<const iovec> buffers, WaitLimit limit,
                   error_code& error) noexcept override;
  void send_to(int descriptor, std::string_view packet, const Address& address, const Host& source,
               error_code& error) noexcept override;
  void wait_until_ready(int descriptor, short events, WaitLimit limit, error_code& error) noexcept override;

  /// All that was sent on the stream.
  std::string output;
  /// The last datagram that was sent to the client: a handler sends its reply when it has finished.
  std::optional<std::string> reply;

 private:
  std::string_view input_;
  std::size_t piece_size_;
  Address address_;
};

}  // namespace sockserv::inline abi_0::detail

namespace sockserv::inline abi_0::testing {

/// Has the server's handler serve a client that sends `input` and then no more; returns what the handler sent: all of
/// it as one string, or for datagrams the reply if there was one. The reply is the last datagram that the handler sent
/// to `client_address`; what it sent to others, or before that, is dropped. The server need not be bound, and is not
/// served.
///
/// @throws whatever escapes the handler.
template <class Handler>
auto converse(BaseServer<Handler>& server, std::string_view input, const ConverseOptions& options = {}) {
  detail::ScriptedClient client(input, options.piece_size, options.client_address);
  if constexpr (std::is_same_v<typename BaseServer<Handler>::request_type, Connection>) {
    Connection request({}, {}, client);
    server.finish_request(request, options.client_address);
    return client.output;
  } else {
    Datagram request(std::string(input), false, DatagramSocket(nullptr, client));
    server.finish_request(request, options.client_address);
    return client.reply;
  }
}

/// The same for a handler that does not mind whose it is:
///
///     CHECK(sockserv::testing::converse<Upper>("hello\n") == "HELLO\n");
template <class Handler>
auto converse(std::string_view input, const ConverseOptions& options = {}) {
  using Server = std::conditional_t<std::is_same_v<detail::request_of<Handler>, Connection>, TCPServer<Handler>,
                                    UDPServer<Handler>>;
  Server server(Address("127.0.0.1", 0), {.bind_and_activate = false});
  return converse(static_cast<BaseServer<Handler>&>(server), input, options);
}

}  // namespace sockserv::inline abi_0::testing
