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

/// Gives the client a name, of which there is none if it is empty; false if it is refused, which then is the reply.
bool set_name(Session& session, std::string_view name, Reply& reply) {
  constexpr std::size_t longest = 1024;
  if (name.size() > longest) {
    reply.error("ERR Client names cannot have more than " + std::to_string(longest) + " bytes.");
    return false;
  }
  if (!std::all_of(name.begin(), name.end(), [](char c) { return c >= '!' && c <= '~'; })) {
    reply.error("ERR Client names cannot contain spaces, newlines or special characters.");
    return false;
  }
  session.name = name;
  return true;
}

/// False if there is no such user, which then is the reply. There is one, "default", who has no password: any is right.
bool accept_user(std::string_view user, Reply& reply) {
  if (user == "default") return true;
  reply.error("WRONGPASS invalid username-password pair or user is disabled.");
  return false;
}

void auth(Session&, Arguments arguments, Reply& reply) {
  if (arguments.size() > 3) return syntax_error(reply);
  if (arguments.size() == 2) {
    return reply.error(
        "ERR AUTH <password> called without any password configured for the default user. Are you sure your "
        "configuration is correct?");
  }
  if (accept_user(arguments[1], reply)) reply.status("OK");
}

/// Does what the options of HELLO say; false if they are refused, which then is the reply.
bool accept_options(Session& session, Arguments options, Reply& reply) {
  while (!options.empty()) {
    if (equal_ignoring_case(options[0], "auth") && options.size() >= 3) {
      if (!accept_user(options[1], reply)) return false;
      options = options.subspan(3);
    } else if (equal_ignoring_case(options[0], "setname") && options.size() >= 2) {
      if (!set_name(session, options[1], reply)) return false;
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
    if (!accept_options(session, arguments.subspan(2), reply)) return;
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

// What clients say of themselves when they connect.

void client_getname(Session& session, Arguments, Reply& reply) {
  session.name.empty() ? reply.null() : reply.bulk(session.name);
}

void client_id(Session& session, Arguments, Reply& reply) { reply.integer(static_cast<std::int64_t>(session.id)); }

void client_setinfo(Session&, Arguments arguments, Reply& reply) {
  if (equal_ignoring_case(arguments[2], "lib-name") || equal_ignoring_case(arguments[2], "lib-ver")) {
    return reply.status("OK");
  }
  reply.error("ERR Unrecognized option '" + std::string(arguments[2]) + "'");
}

void client_setname(Session& session, Arguments arguments, Reply& reply) {
  if (set_name(session, arguments[2], reply)) reply.status("OK");
}

struct Subcommand {
  std::string_view name;
  std::string_view full_name;
  std::size_t arity;
  void (*run)(Session& session, Arguments arguments, Reply& reply);
};
constexpr Subcommand client_table[] = {{"getname", "client|getname", 2, client_getname},
                                       {"id", "client|id", 2, client_id},
                                       {"setinfo", "client|setinfo", 4, client_setinfo},
                                       {"setname", "client|setname", 3, client_setname}};

void client(Session& session, Arguments arguments, Reply& reply) {
  for (const Subcommand& each : client_table) {
    if (!equal_ignoring_case(arguments[1], each.name)) continue;
    return arguments.size() == each.arity ? each.run(session, arguments, reply) : wrong_arity(each.full_name, reply);
  }
  unknown_subcommand("CLIENT", arguments[1], reply);
}

constexpr Command connection_table[] = {
    {"ping", -1, 0, 0, 0, "fast", "fast connection", "[message]", "Answers", "1.0.0", "connection", ping},
    {"echo", 2, 0, 0, 0, "loading stale fast", "fast connection", "message", "Answers what it is sent", "1.0.0",
     "connection", echo},
    {"hello", -1, 0, 0, 0, "noscript loading stale fast no_auth allow_busy", "fast connection",
     "[protover [AUTH username password] [SETNAME clientname]]", "Agrees on the protocol", "6.0.0", "connection",
     hello},
    {"auth", -2, 0, 0, 0, "noscript loading stale fast no_auth allow_busy", "fast connection", "[username] password",
     "Says who the client is", "1.0.0", "connection", auth},
    {"client", -2, 0, 0, 0, "", "slow", "GETNAME|ID|SETINFO LIB-NAME|LIB-VER value|SETNAME name",
     "What a client says of itself", "2.4.0", "connection", client},
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
