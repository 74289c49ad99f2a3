/// The connection itself.

#include <algorithm>
#include <limits>
#include <string>

#include "commands.hpp"

namespace kv {
namespace {

void ping(Session&, Arguments arguments, Reply& reply) {
  if (arguments.size() > 2) return wrong_arity("ping", reply);
  if (arguments.size() == 1) return reply.status("PONG");
  reply.bulk(arguments[1]);
}

void echo(Session&, Arguments arguments, Reply& reply) { reply.bulk(arguments[1]); }

void quit(Session& session, Arguments, Reply& reply) {
  session.ended = true;
  reply.status("OK");
}

void select(Session&, Arguments arguments, Reply& reply) {
  using Limits = std::numeric_limits<std::int32_t>;
  const auto index = integer_argument(arguments[1], reply);
  if (!index) return;
  if (*index < Limits::min() || *index > Limits::max()) {
    return reply.error("ERR value is out of range, value must between -2147483648 and 2147483647");
  }
  if (*index != 0) return reply.error("ERR DB index is out of range");
  reply.status("OK");
}

/// True if a client may call itself that.
bool is_client_name(std::string_view name) {
  return std::all_of(name.begin(), name.end(), [](char c) { return c >= '!' && c <= '~'; });
}

/// Reads the options of HELLO; if they are refused, that is the reply. There is one user, "default", who has no
/// password; and names are of no use here.
bool accept_options(Arguments options, Reply& reply) {
  while (!options.empty()) {
    if (equal_ignoring_case(options[0], "auth") && options.size() >= 3) {
      if (options[1] != "default") {
        reply.error("WRONGPASS invalid username-password pair or user is disabled.");
        return false;
      }
      options = options.subspan(3);
    } else if (equal_ignoring_case(options[0], "setname") && options.size() >= 2) {
      if (!is_client_name(options[1])) {
        reply.error("ERR Client names cannot contain spaces, newlines or special characters.");
        return false;
      }
      options = options.subspan(2);
    } else {
      reply.error("ERR Syntax error in HELLO option '" + std::string(options[0]) + "'");
      return false;
    }
  }
  return true;
}

void hello(Session& session, Arguments arguments, Reply& reply) {
  if (arguments.size() > 1) {
    const auto version = parse_integer(arguments[1]);
    if (!version) return reply.error("ERR Protocol version is not an integer or out of range");
    if (*version != 2) return reply.error("NOPROTO unsupported protocol version");
    if (!accept_options(arguments.subspan(2), reply)) return;
  }
  reply.array(14);
  reply.bulk("server");
  reply.bulk("kv_server");
  reply.bulk("version");
  reply.bulk(redis_version);
  reply.bulk("proto");
  reply.integer(2);
  reply.bulk("id");
  reply.integer(static_cast<std::int64_t>(session.id));
  reply.bulk("mode");
  reply.bulk("standalone");
  reply.bulk("role");
  reply.bulk("master");
  reply.bulk("modules");
  reply.array(0);
}

constexpr Command connection_table[] = {
    {"ping", -1, 0, 0, 0, "fast", "fast connection", "[message]", "Answers", "1.0.0", "connection", ping},
    {"echo", 2, 0, 0, 0, "loading stale fast", "fast connection", "message", "Answers what it is sent", "1.0.0",
     "connection", echo},
    {"hello", -1, 0, 0, 0, "noscript loading stale fast no_auth allow_busy", "fast connection",
     "[protover [AUTH username password] [SETNAME clientname]]", "Agrees on the protocol", "6.0.0", "connection",
     hello},
    {"select", 2, 0, 0, 0, "loading stale fast", "fast connection", "index",
     "Changes to another database, of which "
     "there is one",
     "1.0.0", "connection", select},
    {"quit", -1, 0, 0, 0, "noscript loading stale fast no_auth allow_busy", "fast connection", "",
     "Ends the connection", "1.0.0", "connection", quit},
};

}  // namespace

std::span<const Command> connection_commands() noexcept { return connection_table; }

}  // namespace kv
