#pragma once

/// Requests of RESP2, the protocol of Redis, as computation on bytes: they are taken out of what has arrived. Nothing
/// here knows of a socket.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace kv {

/// What ends a line.
inline constexpr std::string_view line_break = "\r\n";

/// A request: the command's name and its arguments; at least the name.
using Arguments = std::span<const std::string_view>;

/// What a client has sent is no RESP. what() is what to answer before the connection is closed, without "ERR ".
struct ProtocolError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// What a client may send. The defaults are those of Redis; its limit on arguments is that of versions before 7.
struct RequestLimits {
  std::size_t arguments = std::size_t{1} << 20;        ///< The most in a request, the command's name included.
  std::size_t argument_size = std::size_t{512} << 20;  ///< The longest, in bytes.
  std::size_t line_size = std::size_t{64} << 10;    ///< The longest line, of lengths or of an inline request, in bytes.
  std::size_t request_size = std::size_t{1} << 30;  ///< The longest request, in bytes as they are sent.
};

/// Takes requests out of a stream of bytes, however that is cut: arrays of bulk strings, and inline requests, which are
/// lines that people type.
///
/// It keeps no bytes: those of a request that is not complete stay where they are, and are shown again with more behind
/// them. It remembers how far it has looked at them. A length that is announced makes it allocate nothing.
///
/// @par Thread safety
/// Distinct objects: safe. Shared objects: unsafe.
class RequestParser {
 public:
  explicit RequestParser(const RequestLimits& limits = {}) noexcept : limits_(limits) {}

  /// The next request, if `bytes` begin with a whole one, which is then taken off their front. Requests that are empty
  /// are taken off, too. The result is valid until the next call, and as long as the memory that `bytes` are in.
  ///
  /// @throws ProtocolError as soon as the bytes say that they are no request. There is no going on from there.
  std::optional<Arguments> parse(std::string_view& bytes);

 private:
  /// Where an argument is, counted from where its request begins: the bytes may be elsewhere the next time.
  struct Place {
    std::size_t begin;
    std::size_t size;
  };

  bool parse_array(std::string_view bytes);
  bool parse_argument(std::string_view bytes);
  bool parse_inline(std::string_view bytes);
  std::optional<std::string_view> take_length(std::string_view bytes, const char* what);

  RequestLimits limits_;
  std::size_t position_ = 0;             // within the request that has begun: how far it has been parsed
  std::size_t searched_ = 0;             // behind that: how far the end of a line has been looked for
  std::size_t missing_ = 0;              // arguments that are still to come
  std::optional<std::size_t> length_;    // of the argument that has begun
  std::vector<Place> places_;            // of the arguments
  std::vector<std::string> words_;       // of an inline request
  std::vector<std::string_view> views_;  // what parse() returns
};

/// The integer that a text is, in the one way to write it: no plus sign, no leading zeros, no spaces.
std::optional<std::int64_t> parse_integer(std::string_view text) noexcept;

/// A letter of ASCII in lower case; anything else as it is.
constexpr char to_lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

/// True if they are the same but for upper and lower case. The second is in lower case.
bool equal_ignoring_case(std::string_view text, std::string_view lower_case) noexcept;

}  // namespace kv
