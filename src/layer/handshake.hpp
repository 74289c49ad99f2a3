#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <sockserv/layer/hmac_auth.hpp>
#include <span>
#include <string>
#include <string_view>

namespace sockserv::inline abi_0::layer {

/// Fills bytes with random ones.
using RandomSource = std::function<void(std::span<char>)>;

/// One end of an authentication, without any connection: bytes in, bytes out. It knows beforehand how many bytes it
/// wants, so that its driver takes none that come after it.
///
///     for (;;) {
///       send(handshake.take_output());
///       if (handshake.wanted() == 0) break;
///       handshake.take(receive(up to handshake.wanted()));
///     }
///
/// It throws what computing an HMAC and the source of random bytes throw, and is of no use after that.
class Handshake {
 public:
  Handshake(const Handshake&) = delete;
  Handshake& operator=(const Handshake&) = delete;
  virtual ~Handshake() = default;

  /// What is to be sent to the peer, and has not been taken yet.
  std::string take_output();

  /// How many bytes it can take now, which may come in pieces; 0: it has ended.
  std::size_t wanted() const noexcept { return expected_ - item_.size(); }
  /// Takes bytes that the peer has sent, `wanted()` at the most.
  void take(std::string_view bytes);

  bool succeeded() const noexcept { return state_ == State::succeeded; }
  /// Why it has failed; null if it has not.
  const char* failure() const noexcept { return failure_; }

 protected:
  Handshake() = default;

  /// Called with as many bytes as were expected. It expects more, succeeds or fails.
  virtual void received(std::string_view item) = 0;

  void send(std::string_view bytes) { output_ += bytes; }
  /// At least 1.
  void expect(std::size_t count) noexcept { expected_ = count; }
  void succeed() noexcept { state_ = State::succeeded; }
  /// `reason` must be a literal: it goes to the log.
  void fail(const char* reason) noexcept {
    state_ = State::failed;
    failure_ = reason;
  }

 private:
  enum class State { going_on, succeeded, failed };

  State state_ = State::going_on;
  const char* failure_ = nullptr;
  std::size_t expected_ = 0;
  std::string item_;  // what there is of what is expected
  std::string output_;
};

/// @name The protocols
/// `authentication` must outlive what they return.
/// @{
std::unique_ptr<Handshake> make_mutual(const Authentication& authentication, AuthenticationRole role,
                                       const RandomSource& random);
std::unique_ptr<Handshake> make_multiprocessing(const Authentication& authentication, AuthenticationRole role,
                                                const RandomSource& random);
std::unique_ptr<Handshake> make_simple(const Authentication& authentication, AuthenticationRole role,
                                       const RandomSource& random);
/// @}

/// The one that `authentication` asks for.
/// @throws std::invalid_argument for settings that make no sense.
std::unique_ptr<Handshake> make_handshake(const Authentication& authentication, AuthenticationRole role,
                                          const RandomSource& random);

}  // namespace sockserv::inline abi_0::layer
