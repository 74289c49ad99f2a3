/// AuthenticationProtocol::multiprocessing: what `multiprocessing.connection.Listener` and `Client` do with an authkey,
/// as messages with their length in front.

#include <algorithm>
#include <array>
#include <boost/endian/conversion.hpp>
#include <optional>
#include <sockserv/layer/framing.hpp>

#include "digest.hpp"
#include "handshake.hpp"

namespace sockserv::inline abi_0::layer {
namespace {

constexpr std::string_view challenge_mark = "#CHALLENGE#";
constexpr std::string_view welcome_message = "#WELCOME#";
constexpr std::string_view failure_message = "#FAILURE#";

/// No message of a handshake is longer, so none has the long form of a length.
constexpr FramingOptions framing{.prefix = LengthPrefix::multiprocessing, .max_message = 256};
constexpr std::size_t header_size = 4;

/// As Python 3.12 and newer make it, after "{sha256}". Up to 3.11 a challenge has 20 bytes and nothing before them.
constexpr std::size_t python_nonce_size = 40;
constexpr std::size_t old_challenge_size = 20;

/// What an answer may be made with, and be asked for.
constexpr std::array<Digest, 5> digests{sha256, sha384, sha3_256, sha3_384, md5};
constexpr std::size_t longest_name = 8;

std::string prefix_of(const Digest& digest) { return std::string("{").append(digest.name).append("}"); }

/// The digest that "{name}" at the beginning names, and what follows it; nothing if there is no such name.
std::optional<std::pair<Digest, std::string_view>> split(std::string_view bytes) {
  if (!bytes.starts_with('{')) return std::nullopt;
  const std::size_t end = bytes.substr(0, longest_name + 2).find('}', 1);
  if (end == bytes.npos) return std::nullopt;
  const auto named = std::find_if(digests.begin(), digests.end(),
                                  [&](const Digest& each) { return each.name == bytes.substr(1, end - 1); });
  if (named == digests.end()) return std::nullopt;
  return std::pair(*named, bytes.substr(end + 1));
}

class Multiprocessing final : public Handshake {
 public:
  Multiprocessing(const Authentication& authentication, AuthenticationRole role, const RandomSource& random)
      : authentication_(authentication), role_(role), challenge_(prefix_of(sha256)) {
    std::array<char, python_nonce_size> nonce{};
    random(nonce);
    challenge_.append(nonce.begin(), nonce.end());
    role == AuthenticationRole::server ? deliver_challenge() : expect_message(Step::challenge);
  }

 private:
  /// What is waited for.
  enum class Step { challenge, answer, welcome };

  void send_message(std::string_view message) {
    send(MessageHeader(message.size(), framing).bytes());
    send(message);
  }

  void expect_message(Step step) noexcept {
    step_ = step;
    in_message_ = false;
    expect(header_size);
  }

  void received(std::string_view item) override {
    if (in_message_) return message_received(item);
    const auto size = boost::endian::load_big_u32(reinterpret_cast<const unsigned char*>(item.data()));
    if (size > framing.max_message) return fail("the peer's message has no length that this protocol knows");
    if (size == 0) return message_received({});
    in_message_ = true;
    expect(size);
  }

  void message_received(std::string_view message) {
    switch (step_) {
      case Step::challenge:
        return answer_challenge(message);
      case Step::answer:
        return check_answer(message);
      case Step::welcome:
        return welcome_received(message);
    }
  }

  void deliver_challenge() {
    send_message(std::string(challenge_mark) + challenge_);
    expect_message(Step::answer);
  }

  void check_answer(std::string_view answer) {
    if (const char* const reason = objection_to(answer)) {
      send_message(failure_message);
      return fail(reason);
    }
    send_message(welcome_message);
    role_ == AuthenticationRole::server ? expect_message(Step::challenge) : succeed();
  }

  const char* objection_to(std::string_view answer) const {
    // Python up to 3.11 knows nothing of names. (Other lengths than MD5's it cannot mean.)
    const auto parts = answer.size() == md5.size ? std::pair(md5, answer) : split(answer);
    if (!parts) return "the peer's answer is none of this protocol";
    const auto& [digest, code] = *parts;
    if (!is_allowed(digest)) return "the peer has answered with MD5, which is not allowed";
    if (!are_equal(code, hmac(digest, authentication_.key, challenge_))) return "the peer's answer is wrong";
    return nullptr;
  }

  void answer_challenge(std::string_view message) {
    if (!message.starts_with(challenge_mark)) return fail("the peer's message is no challenge");
    const std::string_view challenge = message.substr(challenge_mark.size());
    if (challenge.size() < old_challenge_size) return fail("the peer's challenge is too short");
    const bool is_old = challenge.size() == old_challenge_size;
    const auto parts = is_old ? std::pair(md5, challenge) : split(challenge);
    if (!parts) return fail("the peer's challenge asks for no digest of this protocol");
    const Digest& digest = parts->first;
    if (!is_allowed(digest)) return fail("the peer's challenge asks for MD5, which is not allowed");
    const std::string code = hmac(digest, authentication_.key, challenge);
    send_message(is_old ? code : prefix_of(digest) + code);
    expect_message(Step::welcome);
  }

  void welcome_received(std::string_view message) {
    if (message != welcome_message) return fail("the peer rejects our answer");
    role_ == AuthenticationRole::server ? succeed() : deliver_challenge();
  }

  bool is_allowed(const Digest& digest) const noexcept { return digest.name != md5.name || authentication_.allow_md5; }

  const Authentication& authentication_;
  const AuthenticationRole role_;
  std::string challenge_;  // ours
  Step step_ = Step::challenge;
  bool in_message_ = false;
};

}  // namespace

std::unique_ptr<Handshake> make_multiprocessing(const Authentication& authentication, AuthenticationRole role,
                                                const RandomSource& random) {
  return std::make_unique<Multiprocessing>(authentication, role, random);
}

}  // namespace sockserv::inline abi_0::layer
