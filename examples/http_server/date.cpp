#include "date.hpp"

#include <algorithm>
#include <array>

namespace web {
namespace {

constexpr std::time_t last_of_9999 = 253'402'300'799;

/// The time that the text tells in the manner of strptime(3); all of the text, and only a day that there is.
std::optional<std::time_t> parse_as(const char* format, const std::string& text) {
  std::tm fields{};
  const char* const end = ::strptime(text.c_str(), format, &fields);
  if (end != text.data() + text.size()) return std::nullopt;
  std::tm same = fields;
  const std::time_t time = ::timegm(&same);
  if (same.tm_mday != fields.tm_mday || same.tm_sec != fields.tm_sec) return std::nullopt;
  return time;
}

}  // namespace

std::string http_date(std::time_t time) {
  const std::time_t clamped = std::clamp<std::time_t>(time, 0, last_of_9999);
  std::tm fields{};
  ::gmtime_r(&clamped, &fields);
  std::array<char, 30> text{};
  return {text.data(), std::strftime(text.data(), text.size(), "%a, %d %b %Y %H:%M:%S GMT", &fields)};
}

std::optional<std::time_t> parse_http_date(std::string_view text) {
  if (text.size() < 24 || text.size() > 33) return std::nullopt;  // strptime would skip any number of spaces
  const std::string terminated(text);
  for (const char* const format : {"%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"}) {
    if (const auto time = parse_as(format, terminated)) return time;
  }
  return std::nullopt;
}

}  // namespace web
