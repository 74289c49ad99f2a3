#include "response_head.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <sockserv/version.hpp>
#include <stdexcept>

#include "date.hpp"

namespace web {
namespace {

constexpr std::string_view line_end = "\r\n";

/// The fields that every response of a second has.
std::string common_fields(std::time_t now) {
  return "Server: sockserv/" SOCKSERV_VERSION_STRING "\r\nDate: " + http_date(now) + "\r\n";
}

bool has_controls(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](unsigned char c) { return c < ' ' || c == 0x7f; });
}

}  // namespace

ResponseHead::ResponseHead(std::string& text, http::status status, int minor_version, bool keep_alive) : text_(text) {
  const std::string_view reason = http::obsolete_reason(status);
  text_ = "HTTP/1.1 ";
  text_.append(std::to_string(static_cast<unsigned>(status))).append(" ").append(reason).append(line_end);
  text_ += of_this_second<common_fields>();
  if (!keep_alive) {
    add("Connection", "close");
  } else if (minor_version == 0) {
    add("Connection", "keep-alive");
  }
}

ResponseHead& ResponseHead::add(std::string_view name, std::string_view value) {
  text_.append(name).append(": ").append(value).append(line_end);
  return *this;
}

ResponseHead& ResponseHead::add(std::string_view name, std::uint64_t value) {
  std::array<char, 20> digits{};
  const char* const end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
  return add(name, std::string_view(digits.data(), static_cast<std::size_t>(end - digits.data())));
}

ResponseHead& ResponseHead::add_checked(std::string_view name, std::string_view value) {
  if (name.empty() || name.find_first_of(": ") != name.npos || has_controls(name) || has_controls(value)) {
    throw std::invalid_argument("a header field with a control character, or whose name is none");
  }
  return add(name, value);
}

}  // namespace web
