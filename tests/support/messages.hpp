#pragma once

/// Messages as bytes, for the tests and fuzz targets of the framing.

#include <boost/system/system_error.hpp>
#include <limits>
#include <sockserv/error.hpp>
#include <sockserv/layer/framing.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace support {

/// A message as it goes over the wire.
inline std::string framed(std::string_view message, const sockserv::FramingOptions& options = {}) {
  return std::string(sockserv::MessageHeader(message.size(), options).bytes()) + std::string(message);
}

/// What a stream of bytes comes to: messages, and the error that ends them, if one does.
struct Decoded {
  std::vector<std::string> messages;
  sockserv::error_code error;

  bool operator==(const Decoded&) const = default;
};

/// Decodes bytes that arrive in pieces of that size and then end.
inline Decoded decoded(std::string_view bytes, const sockserv::FramingOptions& options = {},
                       std::size_t piece_size = std::numeric_limits<std::size_t>::max()) {
  Decoded result;
  sockserv::MessageDecoder decoder(options);
  try {
    while (!bytes.empty()) {
      // A copy of the piece, so that a sanitizer notices a look beyond it.
      const std::string piece(bytes.substr(0, piece_size));
      bytes.remove_prefix(piece.size());
      std::string_view rest = piece;
      while (const auto message = decoder.decode(rest)) result.messages.emplace_back(*message);
    }
    decoder.finish();
  } catch (const boost::system::system_error& failure) {
    result.error = failure.code();
  }
  return result;
}

}  // namespace support
