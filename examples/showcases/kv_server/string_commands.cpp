/// Values: GET, SET, MGET, and counting.

#include <array>
#include <charconv>
#include <limits>
#include <string>

#include "commands.hpp"
#include "expiry.hpp"

namespace kv {
namespace {

void reply_value(const Value* value, Reply& reply) {
  if (value) {
    reply.bulk(*value);
  } else {
    reply.null();
  }
}

void get(Session& session, Arguments arguments, Reply& reply) {
  session.shared.store.read(arguments.subspan(1), [&](const Value* value) { reply_value(value, reply); });
}

void mget(Session& session, Arguments arguments, Reply& reply) {
  const std::size_t limit = session.shared.answer_limits.values_size;
  const Reply::End end = reply.end();
  const std::size_t before = reply.size();
  reply.array(arguments.size() - 1);
  session.shared.store.read(arguments.subspan(1), [&](const Value* value) {
    if (reply.size() - before <= limit) reply_value(value, reply);
  });
  if (reply.size() - before <= limit) return;
  reply.cut(end);
  reply.error("ERR the values have more than " + std::to_string(limit) + " bytes; ask for fewer at a time");
}

/// The options of SET.
struct SetArguments {
  bool if_absent = false;
  bool if_present = false;
  bool get = false;
  bool keep_expiry = false;
  const ExpiryUnit* unit = nullptr;
  std::string_view amount;
};

/// Reads one option, which may be of two arguments; returns how many they are, and 0 if they make no sense.
std::size_t read_option(Arguments arguments, SetArguments& options) {
  const std::string_view option = arguments.front();
  if (equal_ignoring_case(option, "get")) {
    options.get = true;
  } else if (equal_ignoring_case(option, "nx") && !options.if_present) {
    options.if_absent = true;
  } else if (equal_ignoring_case(option, "xx") && !options.if_absent) {
    options.if_present = true;
  } else if (equal_ignoring_case(option, "keepttl") && !options.unit) {
    options.keep_expiry = true;
  } else {
    const ExpiryUnit* const unit = find_expiry_unit(option);
    const bool another = options.keep_expiry || (options.unit && options.unit != unit);
    if (!unit || another || arguments.size() < 2) return 0;
    options.unit = unit;
    options.amount = arguments[1];
    return 2;
  }
  return 1;
}

/// The time that the options ask for; if they ask for none that there can be, that is the reply.
std::optional<Time> expiry_argument(const SetArguments& options, Time now, Reply& reply) {
  const auto amount = integer_argument(options.amount, reply);
  if (!amount) return std::nullopt;
  const auto time = *amount > 0 ? expiry_time(*amount, *options.unit, now) : std::nullopt;
  if (!time) invalid_expiry("set", reply);
  return time;
}

void set(Session& session, Arguments arguments, Reply& reply) {
  Store& store = session.shared.store;
  if (arguments.size() == 3) {  // most requests
    store.set(arguments[1], arguments[2]);
    return reply.status("OK");
  }
  SetArguments asked;
  for (Arguments rest = arguments.subspan(3); !rest.empty();) {
    const std::size_t read = read_option(rest, asked);
    if (read == 0) return syntax_error(reply);
    rest = rest.subspan(read);
  }
  SetOptions options;
  if (asked.if_absent) options.condition = SetCondition::if_absent;
  if (asked.if_present) options.condition = SetCondition::if_present;
  if (asked.keep_expiry) options.expires_at = std::nullopt;
  if (asked.unit) {
    options.expires_at = expiry_argument(asked, store.now(), reply);
    if (!options.expires_at) return;
  }
  if (asked.get) options.see_old = [&](const Value* value) { reply_value(value, reply); };
  const bool written = store.set(arguments[1], arguments[2], options);
  if (asked.get) return;
  if (written) {
    reply.status("OK");
  } else {
    reply.null();
  }
}

void add(Session& session, std::string_view key, std::int64_t amount, Reply& reply) {
  std::array<char, std::numeric_limits<std::int64_t>::digits10 + 3> text;
  session.shared.store.change(key, [&](const Value* old) -> std::optional<std::string_view> {
    const auto value = old ? integer_argument(old->bytes(), reply) : std::optional<std::int64_t>(0);
    if (!value) return std::nullopt;
    std::int64_t sum = 0;
    if (__builtin_add_overflow(*value, amount, &sum)) {
      reply.error("ERR increment or decrement would overflow");
      return std::nullopt;
    }
    reply.integer(sum);
    return std::string_view(text.data(), std::to_chars(text.data(), text.data() + text.size(), sum).ptr);
  });
}

void incr(Session& session, Arguments arguments, Reply& reply) { add(session, arguments[1], 1, reply); }

void decr(Session& session, Arguments arguments, Reply& reply) { add(session, arguments[1], -1, reply); }

void incrby(Session& session, Arguments arguments, Reply& reply) {
  if (const auto amount = integer_argument(arguments[2], reply)) add(session, arguments[1], *amount, reply);
}

void decrby(Session& session, Arguments arguments, Reply& reply) {
  const auto amount = integer_argument(arguments[2], reply);
  if (!amount) return;
  if (*amount == std::numeric_limits<std::int64_t>::min()) return reply.error("ERR decrement would overflow");
  add(session, arguments[1], -*amount, reply);
}

constexpr Command string_table[] = {
    {"get", 2, 1, 1, 1, "readonly fast", "read string fast", "key", "The value of a key", "1.0.0", "string", get},
    {"set", -3, 1, 1, 1, "write denyoom", "write string slow",
     "key value [NX|XX] [GET] [EX seconds|PX milliseconds|EXAT unix-time-seconds|PXAT unix-time-milliseconds|KEEPTTL]",
     "Sets the value of a key", "1.0.0", "string", set},
    {"mget", -2, 1, -1, 1, "readonly fast", "read string fast", "key [key ...]", "The values of several keys", "1.0.0",
     "string", mget},
    {"incr", 2, 1, 1, 1, "write denyoom fast", "write string fast", "key", "Adds one to the integer that a key has",
     "1.0.0", "string", incr},
    {"decr", 2, 1, 1, 1, "write denyoom fast", "write string fast", "key",
     "Subtracts one from the integer that a key has", "1.0.0", "string", decr},
    {"incrby", 3, 1, 1, 1, "write denyoom fast", "write string fast", "key increment",
     "Adds to the integer that a key has", "1.0.0", "string", incrby},
    {"decrby", 3, 1, 1, 1, "write denyoom fast", "write string fast", "key decrement",
     "Subtracts from the integer that a key has", "1.0.0", "string", decrby},
};

}  // namespace

std::span<const Command> string_commands() noexcept { return string_table; }

}  // namespace kv
