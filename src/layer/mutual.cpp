/// AuthenticationProtocol::mutual: three messages, after which each end knows that the other has the key.

#include <array>
#include <boost/endian/conversion.hpp>
#include <cstdint>
#include <initializer_list>

#include "digest.hpp"
#include "handshake.hpp"

namespace sockserv::inline abi_0::layer {
namespace {

/// What the server begins with. The last byte is the protocol's version.
constexpr std::string_view greeting = "sockauth\x01";
/// Begins what a proof is computed of, so that no proof of another protocol can be taken for one.
constexpr std::string_view label = "sockserv mutual authentication 1";
constexpr std::size_t nonce_size = 32;

/// Each field goes with its length, so that different fields never make the same bytes.
std::string joined(std::initializer_list<std::string_view> fields) {
  std::string bytes;
  for (const std::string_view field : fields) {
    std::array<unsigned char, 4> length{};
    boost::endian::store_big_u32(length.data(), static_cast<std::uint32_t>(field.size()));
    bytes.append(length.begin(), length.end());
    bytes += field;
  }
  return bytes;
}

class Mutual : public Handshake {
 protected:
  Mutual(const Authentication& authentication, const RandomSource& random)
      : authentication_(authentication), own_nonce_(nonce_size, '\0') {
    random(own_nonce_);
  }

  const std::string& own_nonce() const noexcept { return own_nonce_; }

  std::string proof_of(std::string_view role, std::string_view server_nonce, std::string_view client_nonce) const {
    return hmac(
        sha256, authentication_.key,
        joined({label, role, server_nonce, client_nonce, authentication_.server_name, authentication_.client_name}));
  }

 private:
  const Authentication& authentication_;
  std::string own_nonce_;
};

class MutualServer final : public Mutual {
 public:
  MutualServer(const Authentication& authentication, const RandomSource& random) : Mutual(authentication, random) {
    send(greeting);
    send(own_nonce());
    expect(nonce_size + sha256.size);
  }

 private:
  void received(std::string_view answer) override {
    const std::string_view client_nonce = answer.substr(0, nonce_size);
    if (!are_equal(answer.substr(nonce_size), proof_of("client", own_nonce(), client_nonce))) {
      return fail("the client's proof is wrong");
    }
    send(proof_of("server", own_nonce(), client_nonce));
    succeed();
  }
};

class MutualClient final : public Mutual {
 public:
  MutualClient(const Authentication& authentication, const RandomSource& random) : Mutual(authentication, random) {
    expect(greeting.size() + nonce_size);
  }

 private:
  void received(std::string_view item) override {
    if (!server_proof_.empty()) {
      return are_equal(item, server_proof_) ? succeed() : fail("the server's proof is wrong");
    }
    if (!item.starts_with(greeting)) return fail("the server does not speak this protocol");
    const std::string_view server_nonce = item.substr(greeting.size());
    server_proof_ = proof_of("server", server_nonce, own_nonce());
    send(own_nonce());
    send(proof_of("client", server_nonce, own_nonce()));
    expect(sha256.size);
  }

  std::string server_proof_;
};

}  // namespace

std::unique_ptr<Handshake> make_mutual(const Authentication& authentication, AuthenticationRole role,
                                       const RandomSource& random) {
  if (role == AuthenticationRole::server) return std::make_unique<MutualServer>(authentication, random);
  return std::make_unique<MutualClient>(authentication, random);
}

}  // namespace sockserv::inline abi_0::layer
