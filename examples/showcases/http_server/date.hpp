#pragma once

/// Dates as HTTP writes them (RFC 9110, 5.6.7).

#include <array>
#include <cstddef>
#include <ctime>
#include <optional>
#include <string>
#include <string_view>

namespace web {

/// "Sun, 06 Nov 1994 08:49:37 GMT". Years before 1970 and after 9999 become the nearest that can be written.
std::string http_date(std::time_t time);

/// Returns the time of a date in any of the three forms that there have been; no value if the text is none. A year of
/// two digits is the latest with these digits that is at most 50 years after `now`. The second 23:59:60 is the next
/// day's first: Unix time has no number for a leap second.
std::optional<std::time_t> parse_http_date(std::string_view text, std::time_t now = std::time(nullptr));

/// What `format` makes of the present second, up to 128 bytes; it is asked once for each, in each thread that calls
/// this. It is kept without a destructor: registering one in a new thread would end the program if there is no memory.
template <auto format>
std::string_view of_this_second() {
  struct Latest {
    std::time_t second = -1;
    std::size_t size = 0;
    std::array<char, 128> text{};
  };
  constinit thread_local Latest latest;
  std::timespec now{};
  ::clock_gettime(CLOCK_REALTIME_COARSE, &now);
  if (now.tv_sec != latest.second) {
    latest.size = std::string_view(format(now.tv_sec)).copy(latest.text.data(), latest.text.size());
    latest.second = now.tv_sec;
  }
  return {latest.text.data(), latest.size};
}

}  // namespace web
