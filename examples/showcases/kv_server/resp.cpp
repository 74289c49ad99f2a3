#include "resp.hpp"

#include <algorithm>
#include <charconv>

namespace kv {
namespace {

/// No more arguments than this are kept room for: a client that is idle should take little memory.
constexpr std::size_t kept_arguments = 64;

bool is_space(char c) noexcept { return c == ' ' || (c >= '\t' && c <= '\r'); }

/// Not every space does, in Redis.
bool ends_word(char c) noexcept { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

std::optional<int> hexadecimal(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (const char letter = to_lower(c); letter >= 'a' && letter <= 'f') return letter - 'a' + 10;
  return std::nullopt;
}

char escaped(char c) noexcept {
  switch (c) {
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    case 'b':
      return '\b';
    case 'a':
      return '\a';
    default:
      return c;
  }
}

[[noreturn]] void throw_unbalanced() { throw ProtocolError("Protocol error: unbalanced quotes in request"); }

/// Takes a character of a quoted part off a line, escapes resolved.
char take_quoted(std::string_view& line, char quote) {
  const auto take = [&line](std::size_t count) {
    const char last = line[count - 1];
    line.remove_prefix(count);
    return last;
  };
  if (line.size() < 2 || line[0] != '\\') return take(1);
  if (quote == '\'') return line[1] == quote ? take(2) : take(1);
  if (line[1] == 'x' && line.size() >= 4) {
    const auto high = hexadecimal(line[2]);
    const auto low = hexadecimal(line[3]);
    if (high && low) {
      take(4);
      return static_cast<char>(*high * 16 + *low);
    }
  }
  return escaped(take(2));
}

/// Takes a word off a line, which does not begin with a space: parts of it may be in quotes, and a quote ends the word.
std::string take_word(std::string_view& line) {
  std::string word;
  while (!line.empty() && !ends_word(line.front())) {
    const char quote = line.front();
    if (quote != '"' && quote != '\'') {
      word += quote;
      line.remove_prefix(1);
      continue;
    }
    line.remove_prefix(1);
    while (!line.empty() && line.front() != quote) word += take_quoted(line, quote);
    if (line.empty()) throw_unbalanced();
    line.remove_prefix(1);
    if (!line.empty() && !is_space(line.front())) throw_unbalanced();
  }
  return word;
}

}  // namespace

std::optional<Arguments> RequestParser::parse(std::string_view& bytes) {
  while (!bytes.empty()) {
    const bool is_array = bytes.front() == '*';
    const std::string_view allowed = bytes.substr(0, limits_.request_size);
    if (!(is_array ? parse_array(allowed) : parse_inline(allowed))) {
      if (bytes.size() > limits_.request_size) throw ProtocolError("Protocol error: too big request");
      return std::nullopt;
    }
    views_.clear();
    if (is_array) {
      for (const Place& place : places_) views_.push_back(bytes.substr(place.begin, place.size));
    } else {
      views_.assign(words_.begin(), words_.end());
    }
    bytes.remove_prefix(position_);
    position_ = 0;
    places_.clear();
    if (!views_.empty()) return views_;
  }
  if (views_.capacity() > kept_arguments) {
    places_ = {};
    words_ = {};
    views_ = {};
  }
  return std::nullopt;
}

/// Parses on in a request that is an array; true once it is complete.
bool RequestParser::parse_array(std::string_view bytes) {
  if (position_ == 0) {
    const auto text = take_length(bytes, "mbulk count");
    if (!text) return false;
    const auto count = parse_integer(text->substr(1));
    if (!count || *count > static_cast<std::int64_t>(limits_.arguments)) {
      throw ProtocolError("Protocol error: invalid multibulk length");
    }
    missing_ = static_cast<std::size_t>(std::max<std::int64_t>(*count, 0));
  }
  for (; missing_ > 0; --missing_) {
    if (!parse_argument(bytes)) return false;
  }
  return true;
}

bool RequestParser::parse_argument(std::string_view bytes) {
  if (!length_) {
    const auto text = take_length(bytes, "bulk count");
    if (!text) return false;
    if (text->front() != '$') {
      throw ProtocolError(std::string("Protocol error: expected '$', got '") + text->front() + "'");
    }
    const auto length = parse_integer(text->substr(1));
    if (!length || *length < 0 || *length > static_cast<std::int64_t>(limits_.argument_size)) {
      throw ProtocolError("Protocol error: invalid bulk length");
    }
    length_ = static_cast<std::size_t>(*length);
  }
  // What is behind an argument is taken for a line break, as Redis does, whatever it is.
  if (bytes.size() - position_ < *length_ + line_break.size()) return false;
  places_.push_back({position_, *length_});
  position_ += *length_ + line_break.size();
  length_.reset();
  return true;
}

/// Takes a line that ends with a carriage return and one more byte, which has a length in it; nothing if it is not
/// complete. It has at least one character, if only the carriage return.
std::optional<std::string_view> RequestParser::take_length(std::string_view bytes, const char* what) {
  const std::string_view rest = bytes.substr(position_);
  const std::size_t end = rest.substr(0, limits_.line_size + 1).find('\r', searched_);
  if (end == rest.npos) {
    if (rest.size() > limits_.line_size) {
      throw ProtocolError("Protocol error: too big " + std::string(what) + " string");
    }
    searched_ = rest.size();
    return std::nullopt;
  }
  searched_ = end;
  if (rest.size() < end + line_break.size()) return std::nullopt;
  searched_ = 0;
  position_ += end + line_break.size();
  return rest.substr(0, std::max<std::size_t>(end, 1));
}

/// Takes a line apart; true if it is complete.
bool RequestParser::parse_inline(std::string_view bytes) {
  const std::size_t end = bytes.substr(0, limits_.line_size + 1).find('\n', searched_);
  if (end == bytes.npos) {
    if (bytes.size() > limits_.line_size) throw ProtocolError("Protocol error: too big inline request");
    searched_ = bytes.size();
    return false;
  }
  searched_ = 0;
  position_ = end + 1;
  words_.clear();
  for (std::string_view line = bytes.substr(0, end);;) {
    line.remove_prefix(std::min<std::size_t>(line.size(), line.find_first_not_of(" \t\n\v\f\r")));
    if (line.empty()) return true;
    words_.push_back(take_word(line));
  }
}

std::optional<std::int64_t> parse_integer(std::string_view text) noexcept {
  constexpr std::size_t longest = 20;  // so that nobody is held up by a million digits
  if (text.size() > longest) return std::nullopt;
  const std::string_view digits = text.substr(text.starts_with('-') ? 1 : 0);
  if (digits.starts_with('0') && text.size() > 1) return std::nullopt;
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

bool equal_ignoring_case(std::string_view text, std::string_view lower_case) noexcept {
  return std::equal(text.begin(), text.end(), lower_case.begin(), lower_case.end(),
                    [](char one, char other) { return to_lower(one) == other; });
}

}  // namespace kv
