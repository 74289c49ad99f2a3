#pragma once

/// The head of a request: its first line and its fields (RFC 9112). Boost.Beast's parser takes it apart; what Beast
/// lets pass and a server that stands on the Internet should not is refused here.

#include <cstdint>  // first: Beast's field.hpp of Boost 1.83 relies on it

#include <boost/beast/http/field.hpp>
#include <boost/beast/http/verb.hpp>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "refusal.hpp"

namespace web {

/// Where a head ends, including the two line ends.
inline constexpr std::string_view end_of_head = "\r\n\r\n";

/// What a head may measure.
struct HeadLimits {
  std::size_t size = 16384;   ///< All of it, in bytes. Beyond: 431.
  std::size_t target = 8192;  ///< What stands between method and version, in bytes. Beyond: 414.
  std::size_t fields = 100;   ///< How many there may be. Beyond: 431.
};

/// Returns text without the spaces and tabs around it.
std::string_view trimmed(std::string_view text);

struct Field {
  http::field name;
  std::string_view value;
};

/// What a client asks for. All views are of the text that was parsed.
struct Head {
  std::string_view first_line = {};  ///< For the log.
  http::verb method = http::verb::unknown;
  std::string_view target = {};
  int minor_version = 1;  ///< HTTP/1.0 or HTTP/1.1, which is also what later versions of HTTP/1 are served as.
  std::vector<Field> fields = {};

  bool keep_alive = true;            ///< The client would go on with this connection.
  bool expects_continue = false;     ///< It wants to be told before it sends a body.
  bool chunked = false;              ///< A body follows, in chunks …
  std::uint64_t content_length = 0;  ///< … or of this length.

  bool has_body() const noexcept { return chunked || content_length > 0; }
  /// Returns the value of a field; empty if there is none. Several lines are joined by commas (RFC 9110, 5.3): where
  /// only one value makes sense, several are none that does.
  std::string value(http::field name) const;
};

/// Takes the text of a head apart, to its empty line. `head` is given so that its memory can be used again.
/// @throws Refusal
void parse_head(std::string_view text, const HeadLimits& limits, Head& head);

/// Looks at the beginning of a head that is not complete: an error that no further byte can mend need not be waited
/// for.
/// @throws Refusal
void check_beginning(std::string_view text, const HeadLimits& limits);

}  // namespace web
