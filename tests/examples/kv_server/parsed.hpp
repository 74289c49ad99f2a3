#pragma once

/// Requests out of bytes that arrive in pieces, for the tests and the fuzz target of the parser.

#include <algorithm>
#include <kv_server/resp.hpp>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

namespace test {

/// What a stream of bytes comes to: requests, and the error that ends them, if one does, or the bytes that make none.
struct Parsed {
  std::vector<std::vector<std::string>> requests;
  std::string error;
  std::string left;

  bool operator==(const Parsed&) const = default;
};

/// Has a parser look at bytes as a handler does: those that have arrived and are in no request yet.
class Feed {
 public:
  explicit Feed(const kv::RequestLimits& limits) : parser_(limits) {}

  void arrive(std::string_view piece) {
    if (!result.error.empty()) return;
    // A copy elsewhere each time, as a buffer that grows, so that a sanitizer notices a look where the bytes were.
    const std::string bytes = result.left + std::string(piece);
    std::string_view rest = bytes;
    try {
      while (const auto request = parser_.parse(rest)) result.requests.emplace_back(request->begin(), request->end());
    } catch (const kv::ProtocolError& error) {
      result.error = error.what();
    }
    result.left = result.error.empty() ? rest : "";
  }

  Parsed result;

 private:
  kv::RequestParser parser_;
};

/// Parses bytes that arrive in pieces of that size.
inline Parsed parsed(std::string_view bytes, const kv::RequestLimits& limits = {},
                     std::size_t piece_size = std::numeric_limits<std::size_t>::max()) {
  Feed feed(limits);
  for (; !bytes.empty(); bytes.remove_prefix(std::min(piece_size, bytes.size()))) {
    feed.arrive(bytes.substr(0, piece_size));
  }
  return feed.result;
}

/// Parses bytes that arrive in two pieces.
inline Parsed parsed_in_two(std::string_view bytes, std::size_t cut, const kv::RequestLimits& limits = {}) {
  Feed feed(limits);
  feed.arrive(bytes.substr(0, cut));
  feed.arrive(bytes.substr(cut));
  return feed.result;
}

}  // namespace test
