#pragma once

/// Challenge and response with a key that both ends share: a client that connects must prove, before any handler sees
/// it, that it knows the key, and the server proves the same. *Start at `HmacAuthMixIn`.* docs/wire_formats.md has the
/// protocols byte by byte.
///
/// This header belongs to the component `sockserv::auth`, which links OpenSSL: `find_package(sockserv COMPONENTS
/// auth)`. `sockserv.hpp` does not include it.

#include <chrono>
#include <memory>
#include <sockserv/address.hpp>
#include <sockserv/connection.hpp>
#include <sockserv/detail/server_class.hpp>
#include <sockserv/error.hpp>
#include <sockserv/export.hpp>
#include <sockserv/server/base.hpp>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <typeinfo>
#include <utility>
#include <vector>

namespace sockserv::inline abi_0 {

/// A key: any bytes. Take 32 random ones where you can choose: a word that people can remember can be guessed by those
/// who have watched one handshake. Copies of it in this class are wiped when they go.
///
/// @par Thread safety
/// Distinct objects: safe. Shared objects: unsafe, except for const members.
class SOCKSERV_EXPORT SecretKey {
 public:
  /// No key; what needs one refuses it.
  SecretKey() noexcept = default;
  /// @throws std::invalid_argument if there is not a single byte.
  SecretKey(std::string_view bytes);  // NOLINT(google-explicit-constructor): bytes are a key
  SecretKey(const char* bytes) : SecretKey(std::string_view(bytes)) {}         // NOLINT
  SecretKey(const std::string& bytes) : SecretKey(std::string_view(bytes)) {}  // NOLINT
  SecretKey(const SecretKey&) = default;
  SecretKey(SecretKey&&) noexcept = default;
  SecretKey& operator=(SecretKey other) noexcept {
    bytes_.swap(other.bytes_);
    return *this;
  }
  ~SecretKey();

  bool empty() const noexcept { return bytes_.empty(); }
  std::span<const unsigned char> bytes() const noexcept { return bytes_; }

 private:
  std::vector<unsigned char> bytes_;  // not a string, which keeps a short one where moving leaves a copy
};

/// How the two ends prove that they know the key. All three prove it for the beginning of the connection only: what
/// follows is neither encrypted nor protected from being changed on its way. Use one key for one protocol.
enum class AuthenticationProtocol {
  /// Both prove it to each other, with HMAC-SHA-256 over the nonces of both, their roles and their names: three
  /// messages,
  /// as the three-pass mutual authentication of ISO/IEC 9798-4. What was recorded, or comes from another connection or
  /// from the other role, proves nothing.
  mutual,
  /// Python's `multiprocessing.connection` with an `authkey`, as of Python 3.12: the server is a `Listener`, the client
  /// a
  /// `Client`. Both prove it to each other; but neither proof says for whom it is, so somebody between two of them can
  /// pass proofs on from one connection to another. For those who have to talk to Python.
  multiprocessing,
  /// The server sends 32 random bytes, and the client answers with their HMAC-SHA-256. Only the client proves anything:
  /// it cannot tell whom it talks to, and its answers are of use to a server that passes on another server's
  /// challenges.
  simple,
};

/// Which end of the connection it is: the one that listened, or the one that connected.
enum class AuthenticationRole { server, client };

/// What both ends must agree on, and what this end puts up with.
struct Authentication {
  using duration = std::chrono::steady_clock::duration;

  /// Must not be empty.
  SecretKey key = {};
  AuthenticationProtocol protocol = AuthenticationProtocol::mutual;
  /// How long the whole handshake may take; must be positive. In a server, `ServerOptions::prepare_timeout` is a limit
  /// too, and the smaller of the two applies. A server that awaits the client's answer before the request takes a place
  /// gives it as long for that, and as long again for the rest.
  duration time_limit = std::chrono::seconds(5);
  /// The names of the two ends, of which each must expect the other's. They are not sent, but part of each proof: so a
  /// proof that was made for one server is worth nothing at another with the same key. "": no name. For `mutual` only.
  std::string server_name = {};
  std::string client_name = {};
  /// Also take and give proofs by HMAC-MD5, without which Python up to 3.11 does not talk to anyone. Better not. For
  /// `multiprocessing` only.
  bool allow_md5 = false;
};

/// Has the two ends of a connection authenticate each other (or one, if the protocol is `simple`), before anything else
/// is read or written; then the connection is as it was, and not a byte of what follows has been taken. It waits as the
/// handler does, for `time_limit` at the most, and takes no more from the peer than the protocol has.
///
///     auto client = sockserv::create_connection({"localhost", 9000}, 5s);
///     sockserv::authenticate(client.connection, {.key = key}, sockserv::AuthenticationRole::client);
///
/// Servers have it called by `HmacAuthMixIn`.
///
/// @throws authentication_error if the peer has not proved that it knows the key, for whatever reason: the message says
///     which, the peer is not told. The connection is of no use then; close it.
/// @throws limit_error if the connection passes a limit of its server's meanwhile; std::invalid_argument for settings
///     that make no sense; boost::system::system_error if the system has no random bytes.
SOCKSERV_EXPORT void authenticate(Connection& request, const Authentication& authentication, AuthenticationRole role);

namespace detail {
/// @throws std::invalid_argument that names the field whose value makes no sense.
SOCKSERV_EXPORT void check_authentication(const Authentication& authentication);

class BegunAuthentication : public AwaitedInput {};

/// Sends what a server sends first, and returns what is needed to go on.
SOCKSERV_EXPORT std::unique_ptr<BegunAuthentication> begin_authentication(Connection& request,
                                                                          const Authentication& authentication);
/// Goes on with that; if it is null, begins.
SOCKSERV_EXPORT void finish_authentication(Connection& request, const Authentication& authentication,
                                           std::unique_ptr<BegunAuthentication> begun);
}  // namespace detail

/// A server whose clients must prove that they know a key. Until one has, no handler is constructed for it.
///
///     HmacAuthMixIn<ThreadingTCPServer<Echo>> server({"127.0.0.1", 9000});
///     server.authentication = {.key = key};
///
/// The handshake runs where the handler will: in its thread or process, or on its fiber. A client that sends nothing
/// keeps no place from others, under any mixin: until it has answered, it takes no thread and no process
/// (`BaseServer::begin_preparation()`). There are two exceptions, and there enough of such clients keep others waiting:
/// in the `multiprocessing` protocol, which goes back and forth, a client that stops after it has begun; and any client
/// where the layer is around another one that acts before it. The layer goes around a mixin or inside one, with the
/// same effect. For servers of streams. A client that does not prove it is disconnected, with one line in the log that
/// says why, and counted in `ServerStats::authentication_failures`; limits such as `ServerOptions::idle_timeout` hold
/// during the handshake.
///
/// Requests that still run when the server is destroyed (of daemon threads, say) are aborted.
template <detail::ServerClass Server>
class HmacAuthMixIn : public Server {
 public:
  using Server::Server;
  using typename Server::request_type;
  ~HmacAuthMixIn() override {
    static_assert(serves_streams,
                  "HmacAuthMixIn is for servers of streams: a datagram has no connection to authenticate");
    this->begin_destruction(typeid(HmacAuthMixIn));
    // What server_close() did not wait for would go on as a request of the base's: without a handshake.
    if constexpr (!detail::serves_in_processes<Server>) this->abort_and_wait();  // each child has a copy of this
  }

  /// The key, and how it is proved. Without a key the server refuses to serve.
  Authentication authentication;

  std::unique_ptr<AwaitedInput> begin_preparation(request_type& request) override {
    auto begun = Server::begin_preparation(request);
    if constexpr (serves_streams && !Server::template acts_before<Server>) {
      if (!begun) begun = detail::begin_authentication(request, authentication);
    }
    return begun;
  }
  void prepare_request(request_type& request, Address& client_address) override {
    Server::prepare_request(request, client_address);
    if constexpr (serves_streams) {
      auto begun = this->template take_awaited_input<detail::BegunAuthentication>(request);
      detail::finish_authentication(request, authentication, std::move(begun));
    }
  }
  void finish_request(request_type& request, const Address& client_address) override {
    this->prepare(request, client_address);  // no override within may leave that out
    Server::finish_request(request, client_address);
  }

 protected:
  void check_settings() const override {
    detail::check_authentication(authentication);
    Server::check_settings();
  }

 private:
  static constexpr bool serves_streams = std::is_same_v<request_type, Connection>;
};

}  // namespace sockserv::inline abi_0
