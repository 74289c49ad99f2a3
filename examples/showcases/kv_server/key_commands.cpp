/// Keys: whether they are there, for how long, and which ones there are.

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdlib>
#include <string>
#include <utility>

#include "commands.hpp"
#include "expiry.hpp"
#include "glob.hpp"

namespace kv {
namespace {

void del(Session& session, Arguments arguments, Reply& reply) {
  reply.integer(static_cast<std::int64_t>(session.shared.store.erase(arguments.subspan(1))));
}

void exists(Session& session, Arguments arguments, Reply& reply) {
  reply.integer(static_cast<std::int64_t>(session.shared.store.count(arguments.subspan(1))));
}

/// The options of EXPIRE; if they make no sense, that is the reply.
std::optional<ExpiryCondition> expiry_condition(Arguments options, Reply& reply) {
  ExpiryCondition condition;
  for (const std::string_view option : options) {
    if (equal_ignoring_case(option, "nx")) {
      condition.if_none = true;
    } else if (equal_ignoring_case(option, "xx")) {
      condition.if_any = true;
    } else if (equal_ignoring_case(option, "gt")) {
      condition.if_later = true;
    } else if (equal_ignoring_case(option, "lt")) {
      condition.if_earlier = true;
    } else {
      reply.error("ERR Unsupported option " + std::string(option));
      return std::nullopt;
    }
  }
  if (condition.if_none && (condition.if_any || condition.if_later || condition.if_earlier)) {
    reply.error("ERR NX and XX, GT or LT options at the same time are not compatible");
    return std::nullopt;
  }
  if (condition.if_later && condition.if_earlier) {
    reply.error("ERR GT and LT options at the same time are not compatible");
    return std::nullopt;
  }
  return condition;
}

void expire_in(const ExpiryUnit& unit, std::string_view command, Session& session, Arguments arguments, Reply& reply) {
  const auto condition = expiry_condition(arguments.subspan(3), reply);
  if (!condition) return;
  const auto amount = integer_argument(arguments[2], reply);
  if (!amount) return;
  Store& store = session.shared.store;
  const auto time = expiry_time(*amount, unit, store.now());
  if (!time) return invalid_expiry(command, reply);
  reply.integer(store.expire(arguments[1], *time, *condition));
}

void expire(Session& session, Arguments arguments, Reply& reply) {
  expire_in(seconds_from_now, "expire", session, arguments, reply);
}

void pexpire(Session& session, Arguments arguments, Reply& reply) {
  expire_in(milliseconds_from_now, "pexpire", session, arguments, reply);
}

void time_to_live(std::int64_t milliseconds, Session& session, Arguments arguments, Reply& reply) {
  constexpr std::int64_t no_key = -2;
  constexpr std::int64_t no_expiry = -1;
  Store& store = session.shared.store;
  const auto time = store.expires_at(arguments[1]);
  if (!time) return reply.integer(no_key);
  if (*time == never) return reply.integer(no_expiry);
  const std::int64_t left = std::max<std::int64_t>(*time - store.now(), 0);
  reply.integer((left + milliseconds / 2) / milliseconds);
}

void ttl(Session& session, Arguments arguments, Reply& reply) {
  time_to_live(seconds_from_now.milliseconds, session, arguments, reply);
}

void pttl(Session& session, Arguments arguments, Reply& reply) {
  time_to_live(milliseconds_from_now.milliseconds, session, arguments, reply);
}

void persist(Session& session, Arguments arguments, Reply& reply) {
  reply.integer(session.shared.store.expire(arguments[1], never, {.if_any = true}));
}

/// The keys that match a pattern.
class Matches {
 public:
  explicit Matches(std::string_view pattern) : pattern_(pattern) {}

  void add(std::string_view key) {
    if (!glob_matches(pattern_, key)) return;
    keys_.bulk(key);
    ++count_;
  }
  void move_to(Reply& reply) {
    reply.array(count_);
    reply.append(std::move(keys_));
  }

 private:
  std::string_view pattern_;
  Reply keys_;
  std::size_t count_ = 0;
};

void keys(Session& session, Arguments arguments, Reply& reply) {
  if (is_too_long_pattern(arguments[1], session, reply)) return;
  Matches found(arguments[1]);
  session.shared.store.for_each_key([&](std::string_view key) { found.add(key); });
  found.move_to(reply);
}

/// As Redis reads a cursor: by strtoull, but no space may be in front.
std::optional<std::uint64_t> parse_cursor(std::string_view argument) {
  const std::string text(argument);
  char* end = nullptr;
  errno = 0;
  const std::uint64_t cursor = std::strtoull(text.c_str(), &end, 10);
  if (std::isspace(static_cast<unsigned char>(text.c_str()[0])) || *end != '\0' || errno == ERANGE) return std::nullopt;
  return cursor;
}

void scan(Session& session, Arguments arguments, Reply& reply) {
  const auto cursor = parse_cursor(arguments[1]);
  if (!cursor) return reply.error("ERR invalid cursor");
  std::int64_t count = 10;
  std::string_view pattern = "*";
  bool of_other_type = false;
  for (Arguments options = arguments.subspan(2); !options.empty(); options = options.subspan(2)) {
    if (options.size() < 2) return syntax_error(reply);
    if (equal_ignoring_case(options[0], "count")) {
      const auto value = integer_argument(options[1], reply);
      if (!value) return;
      if (*value < 1) return syntax_error(reply);
      count = *value;
    } else if (equal_ignoring_case(options[0], "match")) {
      pattern = options[1];
      if (is_too_long_pattern(pattern, session, reply)) return;
    } else if (equal_ignoring_case(options[0], "type")) {
      of_other_type = !equal_ignoring_case(options[1], "string");  // there are no others
    } else {
      return syntax_error(reply);
    }
  }
  Matches found(pattern);
  const std::uint64_t next =
      session.shared.store.scan(*cursor, static_cast<std::size_t>(count), [&](std::string_view key) {
        if (!of_other_type) found.add(key);
      });
  reply.array(2);
  reply.bulk(std::to_string(next));
  found.move_to(reply);
}

void dbsize(Session& session, Arguments, Reply& reply) {
  reply.integer(static_cast<std::int64_t>(session.shared.store.figures().keys));
}

void flushdb(Session& session, Arguments arguments, Reply& reply) {
  const bool as_asked = arguments.size() == 1 ||
                        (arguments.size() == 2 &&
                         (equal_ignoring_case(arguments[1], "sync") || equal_ignoring_case(arguments[1], "async")));
  if (!as_asked) return syntax_error(reply);
  session.shared.store.clear();
  reply.status("OK");
}

constexpr Command key_table[] = {
    {"del", -2, 1, -1, 1, "write", "keyspace write slow", "key [key ...]", "Removes keys", "1.0.0", "generic", del},
    {"exists", -2, 1, -1, 1, "readonly fast", "keyspace read fast", "key [key ...]", "How many of the keys are there",
     "1.0.0", "generic", exists},
    {"expire", -3, 1, 1, 1, "write fast", "keyspace write fast", "key seconds [NX|XX|GT|LT]",
     "Has a key expire in so many seconds", "1.0.0", "generic", expire},
    {"pexpire", -3, 1, 1, 1, "write fast", "keyspace write fast", "key milliseconds [NX|XX|GT|LT]",
     "Has a key expire in so many milliseconds", "2.6.0", "generic", pexpire},
    {"ttl", 2, 1, 1, 1, "readonly fast", "keyspace read fast", "key", "In how many seconds a key expires", "1.0.0",
     "generic", ttl},
    {"pttl", 2, 1, 1, 1, "readonly fast", "keyspace read fast", "key", "In how many milliseconds a key expires",
     "2.6.0", "generic", pttl},
    {"persist", 2, 1, 1, 1, "write fast", "keyspace write fast", "key", "Has a key not expire", "2.2.0", "generic",
     persist},
    {"keys", 2, 0, 0, 0, "readonly", "keyspace read slow dangerous", "pattern", "The keys that match a pattern",
     "1.0.0", "generic", keys, true},
    {"scan", -2, 0, 0, 0, "readonly", "keyspace read slow", "cursor [MATCH pattern] [COUNT count] [TYPE type]",
     "Some of the keys, and where to go on", "2.8.0", "generic", scan, true},
    {"dbsize", 1, 0, 0, 0, "readonly fast", "keyspace read fast", "", "How many keys there are", "1.0.0", "server",
     dbsize},
    {"flushdb", -1, 0, 0, 0, "write", "keyspace write slow dangerous", "[ASYNC|SYNC]", "Removes all keys", "1.0.0",
     "server", flushdb, true},
};

}  // namespace

std::span<const Command> key_commands() noexcept { return key_table; }

}  // namespace kv
