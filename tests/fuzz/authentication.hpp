#pragma once

/// What the fuzz targets of the authentication protocols have in common.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <utility>

#include "support/handshakes.hpp"

/// Arbitrary bytes for a handshake, of which the first chooses the role and whether MD5 is allowed: however they are
/// cut, the handshake sends the same, ends in the same way and leaves the same bytes; and it wants none once it has
/// ended.
inline int fuzz_handshake(const std::uint8_t* data, std::size_t size, sockserv::AuthenticationProtocol protocol) {
  if (size < 1) return 0;
  const auto role = data[0] % 2 == 0 ? sockserv::AuthenticationRole::server : sockserv::AuthenticationRole::client;
  const bool allow_md5 = protocol == sockserv::AuthenticationProtocol::multiprocessing && data[0] / 2 % 2 == 1;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);

  const auto fed = [&](std::size_t piece_size) {
    support::HandshakeEnd end({.key = "the key", .protocol = protocol, .allow_md5 = allow_md5}, role);
    const std::size_t left = end.take(bytes, piece_size).size();
    if (end.succeeded() && end.refused()) std::abort();
    if ((end.succeeded() || end.refused()) != (end.wanted() == 0)) std::abort();
    return std::pair(std::move(end), left);
  };
  const auto [whole, left] = fed(bytes.size() + 1);
  for (const std::size_t piece_size : {1UL, 3UL, 7UL}) {
    const auto [cut, left_of_cut] = fed(piece_size);
    if (cut.sent() != whole.sent() || cut.failure() != whole.failure() || cut.succeeded() != whole.succeeded() ||
        cut.wanted() != whole.wanted() || left_of_cut != left) {
      std::abort();
    }
  }
  return 0;
}
