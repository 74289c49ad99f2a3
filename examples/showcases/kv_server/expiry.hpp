#pragma once

/// Times at which keys expire, as commands give them.

#include <cstdint>
#include <optional>
#include <string_view>

#include "reply.hpp"
#include "store.hpp"

namespace kv {

/// How a time is given.
struct ExpiryUnit {
  std::string_view option;    ///< Of SET.
  std::int64_t milliseconds;  ///< How long one is.
  bool from_now;              ///< Counted from now, not from 1970.
};

inline constexpr ExpiryUnit seconds_from_now{"ex", 1000, true};
inline constexpr ExpiryUnit milliseconds_from_now{"px", 1, true};

/// The unit of that option, in upper or lower case; null: there is none.
const ExpiryUnit* find_expiry_unit(std::string_view option) noexcept;

/// The time that is so many units off; nothing if it is too far to be counted in milliseconds.
std::optional<Time> expiry_time(std::int64_t amount, const ExpiryUnit& unit, Time now) noexcept;

/// The reply of a command that is given such a time.
void invalid_expiry(std::string_view command, Reply& reply);

}  // namespace kv
