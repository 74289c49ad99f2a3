#include "date.hpp"

#include <algorithm>
#include <array>

namespace web {
namespace {

constexpr std::time_t last_of_9999 = 253'402'300'799;

/// Reads all of a text in the manner of strptime(3).
bool is_read_as(const char* format, const std::string& text, std::tm& fields) {
  fields = {};
  return ::strptime(text.c_str(), format, &fields) == text.data() + text.size();
}

/// Replaces the century of a year that was told by two digits, as RFC 9110, 5.6.7, demands.
void choose_century(std::tm& fields, std::time_t now) {
  std::tm latest{};
  ::gmtime_r(&now, &latest);
  latest.tm_year += 50;
  fields.tm_year = latest.tm_year - (latest.tm_year - fields.tm_year % 100 + 100) % 100;
  std::tm told = fields;
  if (::timegm(&told) > ::timegm(&latest)) fields.tm_year -= 100;
}

/// Returns the time of these fields if there is such a time.
std::optional<std::time_t> time_of(std::tm fields) {
  const bool is_leap_second = fields.tm_hour == 23 && fields.tm_min == 59 && fields.tm_sec == 60;
  if (is_leap_second) --fields.tm_sec;
  std::tm same = fields;
  const std::time_t time = ::timegm(&same);
  if (same.tm_mday != fields.tm_mday || same.tm_sec != fields.tm_sec) return std::nullopt;
  return is_leap_second ? time + 1 : time;
}

}  // namespace

std::string http_date(std::time_t time) {
  const std::time_t clamped = std::clamp<std::time_t>(time, 0, last_of_9999);
  std::tm fields{};
  ::gmtime_r(&clamped, &fields);
  std::array<char, 30> text{};
  return {text.data(), std::strftime(text.data(), text.size(), "%a, %d %b %Y %H:%M:%S GMT", &fields)};
}

std::optional<std::time_t> parse_http_date(std::string_view text, std::time_t now) {
  if (text.size() < 24 || text.size() > 33) return std::nullopt;  // strptime would skip any number of spaces
  const std::string terminated(text);
  std::tm fields{};
  const bool has_year = is_read_as("%a, %d %b %Y %H:%M:%S GMT", terminated, fields) ||
                        is_read_as("%a %b %e %H:%M:%S %Y", terminated, fields);
  if (has_year) return time_of(fields);
  if (!is_read_as("%A, %d-%b-%y %H:%M:%S GMT", terminated, fields)) return std::nullopt;
  choose_century(fields, now);
  return time_of(fields);
}

}  // namespace web
