#include "commands.hpp"

#include <algorithm>
#include <array>
#include <boost/unordered/unordered_flat_map.hpp>
#include <limits>
#include <sockserv/this_request.hpp>
#include <string>
#include <vector>

namespace kv {
namespace {

/// How often the store is swept, and how much: it takes a millisecond or so.
constexpr std::chrono::milliseconds sweep_interval(100);
constexpr std::size_t keys_in_a_sweep = 100'000;

/// A request of more than this takes long.
constexpr std::size_t few_arguments = 1000;
constexpr std::size_t few_bytes = std::size_t{1} << 20;

/// No command's name is longer.
constexpr std::size_t longest_name = 16;

using CommandsByName = boost::unordered_flat_map<std::string_view, const Command*>;

CommandsByName by_name() {
  CommandsByName commands;
  for (const Command& command : all_commands()) commands.emplace(command.name, &command);
  return commands;
}

/// What Redis shows of a text in an error: it stops at a zero byte, and has a limit.
std::string_view shown(std::string_view text, std::size_t limit = 128) {
  return text.substr(0, std::min(limit, text.find('\0')));
}

void unknown_command(Arguments arguments, Reply& reply) {
  constexpr std::size_t limit = 128;
  std::string shown_arguments;
  for (const std::string_view argument : arguments.subspan(1)) {
    if (shown_arguments.size() >= limit) break;
    const std::string_view part = shown(argument, limit - shown_arguments.size());
    shown_arguments.append("'").append(part).append("' ");
  }
  reply.error("ERR unknown command '" + std::string(shown(arguments.front())) +
              "', with args beginning with: " + shown_arguments);
}

/// True if this is no request of a client's but a line of an HTTP request: that of its method, or its Host. Redis looks
/// for POST and Host only.
bool is_http(Arguments arguments) {
  const std::string_view first = arguments.front();
  constexpr std::string_view host = "host:";
  constexpr std::string_view version = "http/";
  return equal_ignoring_case(first, "post") || equal_ignoring_case(first.substr(0, host.size()), host) ||
         (arguments.size() > 2 && equal_ignoring_case(arguments.back().substr(0, version.size()), version));
}

/// Closes the connection without an answer: a web page may have its reader's browser send commands in a request's body.
void refuse_http(Session& session, Reply& reply) {
  session.ended = true;
  reply.clear();
  if (!session.shared.may_log()) return;
  session.server.log(sockserv::LogLevel::warning,
                     "possible security attack: " + session.client_address.to_string() +
                         " sent an HTTP request, perhaps a browser on behalf of a web page; closed the connection "
                         "without running what follows");
}

/// True if a key of the request is longer than the limit; that is the reply.
bool has_too_long_key(const Command& command, const Session& session, Arguments arguments, Reply& reply) {
  if (command.first_key == 0) return false;
  const std::size_t limit = session.shared.answer_limits.key_size;
  const std::size_t count = command.last_key < 0 ? arguments.size() : static_cast<std::size_t>(command.last_key) + 1;
  for (auto key = static_cast<std::size_t>(command.first_key); key < count;
       key += static_cast<std::size_t>(command.key_step)) {
    if (arguments[key].size() > limit) {
      reply.error("ERR key is longer than " + std::to_string(limit) + " bytes");
      return true;
    }
  }
  return false;
}

/// True if a request may take so long that others should not wait for it.
bool takes_long(const Command& command, Arguments arguments) {
  if (command.on_all_keys || arguments.size() > few_arguments) return true;
  std::size_t size = 0;
  for (const std::string_view argument : arguments) size += argument.size();
  return size > few_bytes;
}

}  // namespace

void Shared::sweep_at_times() {
  const auto now = std::chrono::steady_clock::now();
  if (now < next_sweep_) return;
  next_sweep_ = now + sweep_interval;
  store.sweep(keys_in_a_sweep);
}

std::span<const Command> all_commands() {
  static const std::vector<Command> all = [] {
    std::vector<Command> commands;
    for (const auto& some : {connection_commands(), string_commands(), key_commands(), server_commands()}) {
      commands.insert(commands.end(), some.begin(), some.end());
    }
    return commands;
  }();
  return all;
}

const Command* find_command(std::string_view name) {
  static const CommandsByName commands = by_name();
  if (name.size() > longest_name) return nullptr;
  std::array<char, longest_name> lower_case;
  std::transform(name.begin(), name.end(), lower_case.begin(), to_lower);
  const auto found = commands.find(std::string_view(lower_case.data(), name.size()));
  return found == commands.end() ? nullptr : found->second;
}

void execute(Session& session, Arguments arguments, Reply& reply) {
  const Command* const command = find_command(arguments.front());
  if (!command || !command->takes(arguments.size())) {
    if (is_http(arguments)) return refuse_http(session, reply);
    return command ? wrong_arity(command->name, reply) : unknown_command(arguments, reply);
  }
  if (has_too_long_key(*command, session, arguments, reply)) return;
  if (takes_long(*command, arguments)) {
    sockserv::this_request::offload([&] { command->run(session, arguments, reply); });
  } else {
    command->run(session, arguments, reply);
  }
}

void wrong_arity(std::string_view command, Reply& reply) {
  reply.error("ERR wrong number of arguments for '" + std::string(command) + "' command");
}

void unknown_subcommand(std::string_view command, std::string_view subcommand, Reply& reply) {
  reply.error("ERR unknown subcommand '" + std::string(shown(subcommand)) + "'. Try " + std::string(command) +
              " HELP.");
}

void syntax_error(Reply& reply) { reply.error("ERR syntax error"); }

bool is_too_long_pattern(std::string_view pattern, const Session& session, Reply& reply) {
  const std::size_t limit = session.shared.answer_limits.pattern_size;
  if (pattern.size() <= limit) return false;
  reply.error("ERR pattern is longer than " + std::to_string(limit) + " bytes");
  return true;
}

std::optional<std::int64_t> integer_argument(std::string_view argument, Reply& reply) {
  const auto value = parse_integer(argument);
  if (!value) reply.error("ERR value is not an integer or out of range");
  return value;
}

}  // namespace kv
