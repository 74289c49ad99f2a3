#pragma once

/// Ends of a handshake without a connection, for the tests and fuzz targets of the authentication.

#include <algorithm>
#include <cstddef>
#include <memory>
#include <sockserv/layer/hmac_auth.hpp>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "layer/handshake.hpp"

namespace support {

/// Is not random, so that what a handshake sends can be foretold; different for each role.
inline sockserv::layer::RandomSource counting_from(char first) {
  return [first](std::span<char> bytes) {
    char next = first;
    for (char& byte : bytes) byte = next++;
  };
}

/// One end of a handshake, and all that it has sent.
class HandshakeEnd {
 public:
  HandshakeEnd(sockserv::Authentication how, sockserv::AuthenticationRole role)
      : authentication_(std::move(how)),
        handshake_(sockserv::layer::make_handshake(
            authentication_, role, counting_from(role == sockserv::AuthenticationRole::server ? 'S' : 'C'))) {
    collect();
  }

  /// Takes as much as it wants, at most so much at a time; returns what it has not taken.
  std::string_view take(std::string_view bytes, std::size_t piece_size = 1000) {
    while (!bytes.empty() && handshake_->wanted() > 0) {
      const std::string piece(bytes.substr(0, std::min(handshake_->wanted(), piece_size)));
      handshake_->take(piece);
      bytes.remove_prefix(piece.size());
      collect();
    }
    return bytes;
  }

  bool succeeded() const noexcept { return handshake_->succeeded(); }
  bool refused() const noexcept { return handshake_->failure() != nullptr; }
  /// Why it has failed; empty if it has not.
  std::string failure() const { return refused() ? handshake_->failure() : ""; }
  std::size_t wanted() const noexcept { return handshake_->wanted(); }
  /// All that it has sent, and what of that has not been taken yet.
  const std::string& sent() const noexcept { return sent_; }
  std::string take_unread() { return std::exchange(unread_, {}); }

 private:
  void collect() {
    const std::string output = handshake_->take_output();
    sent_ += output;
    unread_ += output;
  }

  sockserv::Authentication authentication_;
  std::unique_ptr<sockserv::layer::Handshake> handshake_;
  std::string sent_;
  std::string unread_;
};

}  // namespace support
