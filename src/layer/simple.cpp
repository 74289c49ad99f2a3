/// AuthenticationProtocol::simple: a challenge, and the client's answer.

#include <array>

#include "digest.hpp"
#include "handshake.hpp"

namespace sockserv::inline abi_0::layer {
namespace {

constexpr std::size_t challenge_size = 32;

class SimpleServer final : public Handshake {
 public:
  SimpleServer(const Authentication& authentication, const RandomSource& random) {
    std::array<char, challenge_size> challenge{};
    random(challenge);
    const std::string_view bytes(challenge.data(), challenge.size());
    answer_ = hmac(sha256, authentication.key, bytes);
    send(bytes);
    expect(sha256.size);
  }

 private:
  void received(std::string_view answer) override {
    are_equal(answer, answer_) ? succeed() : fail("the client's answer is wrong");
  }

  std::string answer_;
};

class SimpleClient final : public Handshake {
 public:
  explicit SimpleClient(const Authentication& authentication) : key_(authentication.key) { expect(challenge_size); }

 private:
  void received(std::string_view challenge) override {
    send(hmac(sha256, key_, challenge));
    succeed();
  }

  const SecretKey& key_;
};

}  // namespace

std::unique_ptr<Handshake> make_simple(const Authentication& authentication, AuthenticationRole role,
                                       const RandomSource& random) {
  if (role == AuthenticationRole::server) return std::make_unique<SimpleServer>(authentication, random);
  return std::make_unique<SimpleClient>(authentication);
}

}  // namespace sockserv::inline abi_0::layer
