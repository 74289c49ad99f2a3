#pragma once

/// What a request's target means (RFC 9112, 3.2), and how text is written so that it cannot mean anything else.

#include <boost/beast/http/verb.hpp>
#include <string>
#include <string_view>

#include "refusal.hpp"

namespace web {

struct Target {
  /// Decoded. It begins with a slash, and has no `.`, no `..`, no slash after a slash and no NUL in it. A slash at its
  /// end is kept.
  std::string path;
  std::string_view query;  ///< What follows the question mark, as it was sent.
};

/// Understands `/path?query` and `http://host/path?query`.
/// @throws Refusal
Target parse_target(http::verb method, std::string_view target);

/// A path as it can stand in a URL: what is no plain character is a percent sign and two digits.
std::string percent_encoded(std::string_view path);
/// Text as it can stand anywhere in HTML.
std::string html_escaped(std::string_view text);

}  // namespace web
