#pragma once

/// What client and server say to each other: messages (sockserv/layer/framing.hpp, the length in 4 bytes) with JSON in
/// them, and the bytes of a file as they are. A connection can carry one transfer after the other.
///
///     put     client   {"operation": "put", "name": …, "size": …, "sha256": …}     of the whole file
///             server   {"have": …, "sha256": …}                                    the part that is there already
///             client   {"from": …} and the bytes from there on                     "have" if that part is right, or 0
///             server   {"done": true}
///
///     get     client   {"operation": "get", "name": …, "have": …, "sha256": …}     the part that is there already
///             server   {"size": …, "sha256": …, "from": …} and the bytes from there on
///
/// In place of each of its messages the server may send {"error": …}. After that the next operation may come; if the
/// client was sending bytes, the rest of them first. A client that does not want to send them for nothing closes the
/// connection.

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <sockserv/layer/framing.hpp>
#include <string>
#include <string_view>

#include "folder.hpp"

namespace transfer {

using Json = nlohmann::json;

/// For every wait of both sides; it has to suffice for the other side to hash a file, at about a second for a GiB.
inline constexpr std::chrono::minutes time_limit{5};
inline constexpr sockserv::FramingOptions framing{.max_message = 65536};

inline void send(sockserv::MessageStream& messages, const Json& object) {
  messages.send(object.dump(-1, ' ', false, Json::error_handler_t::replace));
}

/// The next bytes of a file of which so many are to come; fewer than a piece only at its end, or when the connection
/// has ended, so that they are not lost for the next transfer. @throws peer_gone_error if there are none.
inline std::string receive_piece(sockserv::InputFile& rfile, std::uint64_t left) {
  std::string piece = rfile.read(static_cast<std::size_t>(std::min<std::uint64_t>(left, piece_size)));
  if (piece.empty()) throw sockserv::peer_gone_error(sockserv::errc::end_of_stream, "the file is not complete");
  return piece;
}

inline std::uint64_t number(const Json& object, const char* key) {
  if (!object.contains(key) || !object[key].is_number_unsigned()) {
    throw Failure(std::string("\"") + key + "\" must be a number, and not negative");
  }
  return object[key];
}

inline std::string text(const Json& object, const char* key) {
  if (!object.contains(key) || !object[key].is_string()) throw Failure(std::string("\"") + key + "\" must be a string");
  return object[key];
}

/// The next message.
/// @throws Failure if it says that there was an error, or is no JSON; peer_gone_error if there is none.
inline Json receive(sockserv::MessageStream& messages) {
  const auto message = messages.receive();
  if (!message) throw sockserv::peer_gone_error(sockserv::errc::end_of_stream, "the connection has ended too soon");
  Json object = Json::parse(*message, nullptr, false);
  if (!object.is_object()) throw Failure("a message is no JSON object");
  if (object.contains("error")) throw Failure(printable(text(object, "error")));
  return object;
}

inline std::string sha256(const Json& object) {
  std::string digits = text(object, "sha256");
  if (digits.size() != 64 || digits.find_first_not_of("0123456789abcdef") != digits.npos) {
    throw Failure("\"sha256\" must be 64 hexadecimal digits in lower case");
  }
  return digits;
}

}  // namespace transfer
