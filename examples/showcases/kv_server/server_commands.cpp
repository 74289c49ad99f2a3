/// What the server tells about itself: INFO, COMMAND, CONFIG.

#include <unistd.h>

#include <algorithm>
#include <boost/algorithm/string/classification.hpp>
#include <boost/algorithm/string/split.hpp>
#include <chrono>
#include <string>
#include <vector>

#include "commands.hpp"
#include "glob.hpp"

namespace kv {
namespace {

/// The parts of a text between separators, which have no length if the text has none.
std::vector<std::string> parts(std::string_view text, char separator) {
  std::vector<std::string> found;
  if (!text.empty()) boost::split(found, text, [=](char c) { return c == separator; });
  return found;
}

// INFO

std::string field(std::string_view name, std::string_view value) {
  return std::string(name) + ":" + std::string(value) + "\r\n";
}
std::string field(std::string_view name, std::uint64_t value) { return field(name, std::to_string(value)); }

std::string server_section(Session& session) {
  using namespace std::chrono;
  const auto uptime = duration_cast<seconds>(steady_clock::now() - session.shared.begin).count();
  return field("redis_version", redis_version) + field("redis_mode", "standalone") +
         field("process_id", static_cast<std::uint64_t>(::getpid())) +
         field("uptime_in_seconds", static_cast<std::uint64_t>(uptime));
}

std::string clients_section(Session& session) {
  return field("connected_clients", session.server.stats().active) +
         field("maxclients", session.server.options().max_connections);
}

std::string persistence_section(Session&) { return field("loading", "0"); }

std::string stats_section(Session& session) {
  const sockserv::ServerStats stats = session.server.stats();
  return field("total_connections_received", stats.accepted) +
         field("total_commands_processed", session.shared.requests) + field("total_net_input_bytes", stats.bytes_in) +
         field("total_net_output_bytes", stats.bytes_out) + field("rejected_connections", stats.rejected) +
         field("expired_keys", session.shared.store.figures().expired);
}

std::string replication_section(Session&) { return field("role", "master") + field("connected_slaves", "0"); }

std::string keyspace_section(Session& session) {
  const Store::Figures figures = session.shared.store.figures();
  if (figures.keys == 0) return "";
  return field("db0",
               "keys=" + std::to_string(figures.keys) + ",expires=" + std::to_string(figures.expiring) + ",avg_ttl=0");
}

struct Section {
  std::string_view name;  // in lower case
  std::string_view title;
  std::string (*text)(Session& session);
};
constexpr Section sections[] = {{"server", "# Server\r\n", server_section},
                                {"clients", "# Clients\r\n", clients_section},
                                {"persistence", "# Persistence\r\n", persistence_section},
                                {"stats", "# Stats\r\n", stats_section},
                                {"replication", "# Replication\r\n", replication_section},
                                {"keyspace", "# Keyspace\r\n", keyspace_section}};

bool asks_for(Arguments names, const Section& section) {
  return names.empty() || std::any_of(names.begin(), names.end(), [&](std::string_view name) {
           return equal_ignoring_case(name, section.name) || equal_ignoring_case(name, "default") ||
                  equal_ignoring_case(name, "all") || equal_ignoring_case(name, "everything");
         });
}

void info(Session& session, Arguments arguments, Reply& reply) {
  std::string text;
  for (const Section& section : sections) {
    if (!asks_for(arguments.subspan(1), section)) continue;
    if (!text.empty()) text += "\r\n";
    text += section.title;
    text += section.text(session);
  }
  reply.bulk(text);
}

// COMMAND

void reply_words(std::string_view words, std::string_view prefix, Reply& reply) {
  const auto each = parts(words, ' ');
  reply.array(each.size());
  for (const std::string& word : each) reply.status(std::string(prefix) + word);
}

void reply_info(const Command& command, Reply& reply) {
  reply.array(10);
  reply.bulk(command.name);
  reply.integer(command.arity);
  reply_words(command.flags, "", reply);
  reply.integer(command.first_key);
  reply.integer(command.last_key);
  reply.integer(command.key_step);
  reply_words(command.categories, "@", reply);
  reply.array(0);  // tips,
  reply.array(0);  // specifications of keys
  reply.array(0);  // and subcommands, for clients of clusters
}

/// The arguments in a syntax: words, and what is between brackets.
std::vector<std::string> arguments_of(std::string_view syntax) {
  std::vector<std::string> found;
  int depth = 0;
  for (const std::string& word : parts(syntax, ' ')) {
    if (depth > 0) {
      found.back() += " " + word;
    } else {
      found.push_back(word);
    }
    depth += static_cast<int>(std::count(word.begin(), word.end(), '[') - std::count(word.begin(), word.end(), ']'));
  }
  return found;
}

void reply_argument(std::string_view argument, Reply& reply) {
  const bool optional = argument.starts_with('[');
  reply.array(optional ? 6 : 4);
  reply.bulk("name");
  reply.bulk(optional ? argument.substr(1, argument.size() - 2) : argument);
  reply.bulk("type");
  reply.bulk("string");
  if (optional) {
    reply.bulk("flags");
    reply.array(1);
    reply.status("optional");
  }
}

void reply_documentation(const Command& command, Reply& reply) {
  const auto arguments = arguments_of(command.syntax);
  reply.bulk(command.name);
  reply.array(arguments.empty() ? 6 : 8);
  reply.bulk("summary");
  reply.bulk(command.summary);
  reply.bulk("since");
  reply.bulk(command.since);
  reply.bulk("group");
  reply.bulk(command.group);
  if (arguments.empty()) return;
  reply.bulk("arguments");
  reply.array(arguments.size());
  for (const std::string& argument : arguments) reply_argument(argument, reply);
}

void reply_all_info(Reply& reply) {
  reply.array(all_commands().size());
  for (const Command& each : all_commands()) reply_info(each, reply);
}

void command_info(Arguments names, Reply& reply) {
  if (names.empty()) return reply_all_info(reply);
  reply.array(names.size());
  for (const std::string_view name : names) {
    if (const Command* const found = find_command(name)) {
      reply_info(*found, reply);
    } else {
      reply.null();
    }
  }
}

void command_docs(Arguments names, Reply& reply) {
  std::vector<const Command*> found;
  for (const std::string_view name : names) {
    if (const Command* const each = find_command(name)) found.push_back(each);
  }
  if (names.empty()) {
    for (const Command& each : all_commands()) found.push_back(&each);
  }
  reply.array(2 * found.size());
  for (const Command* const each : found) reply_documentation(*each, reply);
}

void command(Session&, Arguments arguments, Reply& reply) {
  if (arguments.size() == 1) return reply_all_info(reply);
  const std::string_view subcommand = arguments[1];
  if (equal_ignoring_case(subcommand, "count")) {
    if (arguments.size() > 2) return wrong_arity("command|count", reply);
    return reply.integer(static_cast<std::int64_t>(all_commands().size()));
  }
  if (equal_ignoring_case(subcommand, "info")) return command_info(arguments.subspan(2), reply);
  if (equal_ignoring_case(subcommand, "docs")) return command_docs(arguments.subspan(2), reply);
  unknown_subcommand("COMMAND", subcommand, reply);
}

// CONFIG

struct Setting {
  std::string_view name;
  std::string value;
};

std::vector<Setting> settings(const Session& session) {
  return {{"appendonly", "no"},
          {"databases", "1"},
          {"maxclients", std::to_string(session.server.options().max_connections)},
          {"maxmemory", "0"},
          {"proto-max-bulk-len", std::to_string(session.shared.limits.argument_size)},
          {"save", ""}};
}

std::string lower_case(std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(), to_lower);
  return lower;
}

void config(Session& session, Arguments arguments, Reply& reply) {
  if (!equal_ignoring_case(arguments[1], "get")) return unknown_subcommand("CONFIG", arguments[1], reply);
  if (arguments.size() < 3) return wrong_arity("config|get", reply);
  const Arguments patterns = arguments.subspan(2);
  for (const std::string_view pattern : patterns) {
    if (is_too_long_pattern(pattern, session, reply)) return;
  }
  std::vector<Setting> found;
  for (const Setting& setting : settings(session)) {
    if (std::any_of(patterns.begin(), patterns.end(),
                    [&](std::string_view pattern) { return glob_matches(lower_case(pattern), setting.name); })) {
      found.push_back(setting);
    }
  }
  reply.array(2 * found.size());
  for (const Setting& setting : found) {
    reply.bulk(setting.name);
    reply.bulk(setting.value);
  }
}

constexpr Command server_table[] = {
    {"info", -1, 0, 0, 0, "loading stale", "slow dangerous", "[section [section ...]]", "Figures of the server",
     "1.0.0", "server", info},
    {"command", -1, 0, 0, 0, "loading stale", "slow connection", "[COUNT|INFO|DOCS [command-name ...]]",
     "What commands there are", "2.8.13", "server", command},
    {"config", -2, 0, 0, 0, "", "slow", "GET pattern [pattern ...]", "Settings of the server", "2.0.0", "server",
     config},
};

}  // namespace

std::span<const Command> server_commands() noexcept { return server_table; }

}  // namespace kv
