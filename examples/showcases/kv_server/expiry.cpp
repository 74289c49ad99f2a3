#include "expiry.hpp"

#include <algorithm>
#include <string>

#include "resp.hpp"

namespace kv {

const ExpiryUnit* find_expiry_unit(std::string_view option) noexcept {
  static constexpr ExpiryUnit units[] = {
      seconds_from_now, milliseconds_from_now, {"exat", 1000, false}, {"pxat", 1, false}};
  const auto* const found = std::find_if(std::begin(units), std::end(units), [&](const ExpiryUnit& unit) {
    return equal_ignoring_case(option, unit.option);
  });
  return found == std::end(units) ? nullptr : found;
}

std::optional<Time> expiry_time(std::int64_t amount, const ExpiryUnit& unit, Time now) noexcept {
  Time time = 0;
  if (__builtin_mul_overflow(amount, unit.milliseconds, &time)) return std::nullopt;
  if (unit.from_now && __builtin_add_overflow(time, now, &time)) return std::nullopt;
  return std::min(time, never - 1);
}

void invalid_expiry(std::string_view command, Reply& reply) {
  reply.error("ERR invalid expire time in '" + std::string(command) + "' command");
}

}  // namespace kv
