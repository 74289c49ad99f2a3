#pragma once

/// What client and server say to each other, after the handshake: messages (sockserv/layer/framing.hpp, the length in 4
/// bytes). One connection is for one command.
///
///     client   {"command": ["ls", "-l"], "shell": false, "directory": "/tmp"}
///              With "shell" there is one string, for /bin/sh. "shell" and "directory" may be left out.
///     server   any number of messages whose first byte is `o` or `e`; what follows is output, byte for byte, of
///              standard output or of standard error
///     server   a message whose first byte is `r`; JSON follows:
///              {"exit": 0}, or {"signal": 15} if that has ended the command; with "limit": "time" or "limit": "output"
///              if the server has, because of that; or {"error": …} if there has been no command
///
/// Whatever the client says after its first message, and the end of its stream, tell the server to end the command.

#include <array>
#include <chrono>
#include <nlohmann/json.hpp>
#include <sockserv.hpp>
#include <stdexcept>
#include <string>
#include <string_view>

namespace remote {

using Json = nlohmann::json;

inline constexpr sockserv::FramingOptions framing{.max_message = 131'072};

/// For what should not take any time: connecting, the request, and each piece of output that the client takes.
inline constexpr std::chrono::seconds patience{5};

/// What the first byte of a message says.
enum class Kind : char { standard_output = 'o', standard_error = 'e', result = 'r' };

inline void send(sockserv::MessageStream& messages, Kind kind, std::string_view content) {
  const std::array<boost::asio::const_buffer, 2> parts{boost::asio::buffer(&kind, 1), boost::asio::buffer(content)};
  messages.send(parts);
}

/// JSON as text. What is no UTF-8, in the name of a file say, is replaced.
inline std::string text(const Json& object) { return object.dump(-1, ' ', false, Json::error_handler_t::replace); }

/// What the client is told: a request that is refused, or what the system says.
class Failure : public std::runtime_error {
 public:
  using runtime_error::runtime_error;
};

}  // namespace remote
