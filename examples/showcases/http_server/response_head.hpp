#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "head.hpp"

namespace web {

/// Writes the head of a response, from its status line to its empty line, into a string whose memory is used again.
class ResponseHead {
 public:
  /// What the connection does after the response decides what is said of it: HTTP/1.1 goes on unless it is told not to,
  /// HTTP/1.0 the other way round.
  ResponseHead(std::string& text, http::status status, int minor_version, bool keep_alive);

  ResponseHead& add(std::string_view name, std::string_view value);
  ResponseHead& add(std::string_view name, std::uint64_t value);
  /// For what comes from elsewhere.
  /// @throws std::invalid_argument if it would be more than one field.
  ResponseHead& add_checked(std::string_view name, std::string_view value);
  /// The empty line.
  void end() { text_ += "\r\n"; }

 private:
  std::string& text_;
};

}  // namespace web
