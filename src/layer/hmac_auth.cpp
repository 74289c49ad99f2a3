#include <sockserv/layer/hmac_auth.hpp>

#include <openssl/crypto.h>

#include <algorithm>
#include <array>
#include <optional>
#include <sockserv/detail/deadline.hpp>
#include <stdexcept>

#include "digest.hpp"
#include "handshake.hpp"

namespace sockserv::inline abi_0 {
namespace {

using std::chrono::steady_clock;

/// Lets a connection's operations wait until a point in time, all together, and then again as long as before.
class TimeLimit {
 public:
  TimeLimit(Connection& request, steady_clock::time_point deadline)
      : request_(request), deadline_(deadline), before_(request.gettimeout()) {}
  TimeLimit(const TimeLimit&) = delete;
  TimeLimit& operator=(const TimeLimit&) = delete;
  // NOLINTNEXTLINE(bugprone-exception-escape): it throws for a limit that makes no sense, and this one was in force
  ~TimeLimit() {
    error_code ignored;  // of a connection that is closed
    request_.settimeout(before_, ignored);
  }

  /// To be called before each operation.
  void apply() {
    const auto left = deadline_ - detail::now();
    if (left <= steady_clock::duration::zero()) throw timeout_error("handshake");
    request_.settimeout(left);
  }

 private:
  Connection& request_;
  steady_clock::time_point deadline_;
  std::optional<Connection::duration> before_;
};

constexpr const char* too_slow = "it was not done within the timeout";

[[noreturn]] void fail(const std::string& reason) { throw authentication_error(reason); }

void send(Connection& request, TimeLimit& limit, std::string_view bytes) {
  while (!bytes.empty()) {
    limit.apply();
    bytes.remove_prefix(request.send(boost::asio::buffer(bytes)));
  }
}

/// The part of the handshake that is done before its client is awaited.
class Begun final : public detail::BegunAuthentication {
 public:
  explicit Begun(const Authentication& authentication)
      : handshake_(layer::make_handshake(authentication, AuthenticationRole::server, layer::fill_randomly)),
        deadline_(detail::deadline_after(authentication.time_limit)) {}

  bool is_enough(std::string_view received) const override { return received.size() >= handshake_->wanted(); }
  time_point deadline() const override { return deadline_; }
  std::exception_ptr timeout_error() const override { return std::make_exception_ptr(authentication_error(too_slow)); }

  layer::Handshake& handshake() noexcept { return *handshake_; }

 private:
  std::unique_ptr<layer::Handshake> handshake_;
  time_point deadline_;
};

/// Moves bytes between the two until the handshake has ended; true if the peer has not ended it before.
bool drive(layer::Handshake& handshake, Connection& request, TimeLimit& limit) {
  std::array<char, 256> space;
  for (;;) {
    send(request, limit, handshake.take_output());
    if (handshake.wanted() == 0) return true;
    limit.apply();
    const std::size_t count =
        request.recv(boost::asio::buffer(space.data(), std::min(handshake.wanted(), space.size())));
    if (count == 0) return false;
    handshake.take({space.data(), count});
  }
}

/// Does something with the peer, and says in an `authentication_error` what went wrong with it.
template <class Action>
auto attempt(const Action& action) {
  try {
    return action();
  } catch (const timeout_error&) {
    fail(too_slow);
  } catch (const peer_gone_error& gone) {
    fail("the peer has gone: " + gone.code().message());
  }
}

void finish(layer::Handshake& handshake, Connection& request, steady_clock::time_point deadline) {
  TimeLimit limit(request, deadline);
  if (!attempt([&] { return drive(handshake, request, limit); })) fail("the peer has closed the connection");
  if (handshake.failure()) fail(handshake.failure());
}

}  // namespace

SecretKey::SecretKey(std::string_view bytes) : bytes_(bytes.begin(), bytes.end()) {
  if (bytes_.empty()) throw std::invalid_argument("a key must not be empty");
}

SecretKey::~SecretKey() { ::OPENSSL_cleanse(bytes_.data(), bytes_.size()); }

void detail::check_authentication(const Authentication& authentication) {
  if (authentication.key.empty()) throw std::invalid_argument("Authentication::key is empty: there must be a key");
  if (authentication.time_limit <= steady_clock::duration::zero()) {
    throw std::invalid_argument("Authentication::time_limit must be positive");
  }
  const AuthenticationProtocol protocol = authentication.protocol;
  if (authentication.allow_md5 && protocol != AuthenticationProtocol::multiprocessing) {
    throw std::invalid_argument("Authentication::allow_md5 is for AuthenticationProtocol::multiprocessing only");
  }
  const bool has_names = !authentication.server_name.empty() || !authentication.client_name.empty();
  if (has_names && protocol != AuthenticationProtocol::mutual) {
    throw std::invalid_argument(
        "Authentication::server_name and client_name are for AuthenticationProtocol::mutual only");
  }
}

void authenticate(Connection& request, const Authentication& authentication, AuthenticationRole role) {
  const auto handshake = layer::make_handshake(authentication, role, layer::fill_randomly);
  finish(*handshake, request, detail::deadline_after(authentication.time_limit));
}

/// A new connection has room for it, so this does not wait.
std::unique_ptr<detail::BegunAuthentication> detail::begin_authentication(Connection& request,
                                                                          const Authentication& authentication) {
  auto begun = std::make_unique<Begun>(authentication);
  attempt([&] { request.sendall(begun->handshake().take_output()); });
  return begun;
}

void detail::finish_authentication(Connection& request, const Authentication& authentication,
                                   std::unique_ptr<BegunAuthentication> begun) {
  if (!begun) return authenticate(request, authentication, AuthenticationRole::server);
  finish(static_cast<Begun&>(*begun).handshake(), request, detail::deadline_after(authentication.time_limit));
}

}  // namespace sockserv::inline abi_0
