#pragma once

/// The commands: what each one's requests mean, and what Redis would answer.

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <sockserv/detail/once_a_second.hpp>
#include <sockserv/server/abstract.hpp>
#include <span>
#include <string>
#include <string_view>

#include "reply.hpp"
#include "resp.hpp"
#include "store.hpp"

namespace kv {

/// The version of Redis whose answers are given here.
inline constexpr std::string_view redis_version = "7.0.15";

/// What an answer may cost.
struct AnswerLimits {
  std::size_t key_size = std::size_t{64} << 10;    ///< The longest key, in bytes: keys are compared and copied.
  std::size_t pattern_size = 1024;                 ///< The longest pattern, in bytes.
  std::size_t values_size = std::size_t{1} << 30;  ///< The most bytes of values in one answer.
  /// The most bytes of answers that wait for a client that sends on without reading them. Beyond that, nothing more is
  /// answered before the client reads.
  std::size_t unread = std::size_t{64} << 20;
  /// How long a client may then take to read something, before its connection is closed.
  std::chrono::milliseconds patience = std::chrono::seconds(5);
};

/// What all connections of a server have in common.
///
/// @par Thread safety
/// Safe, but for the limits, which are set before serving, and `sweep_at_times`, which one thread calls.
class Shared {
 public:
  virtual ~Shared() = default;

  /// Removes some of what has expired, if that was not done lately.
  void sweep_at_times();

  RequestLimits limits;
  AnswerLimits answer_limits;
  Store store;
  const std::chrono::steady_clock::time_point begin = std::chrono::steady_clock::now();
  std::atomic<std::uint64_t> sessions = 0;  ///< How many there have been.
  std::atomic<std::uint64_t> requests = 0;  ///< How many have been answered.
  sockserv::detail::OnceASecond may_log;    ///< Whether to log a line that any client can cause.

 private:
  std::chrono::steady_clock::time_point next_sweep_ = begin;
};

/// A connection, as commands see it.
struct Session {
  Shared& shared;
  const sockserv::AbstractServer& server;
  const sockserv::Address& client_address;
  std::uint64_t id = ++shared.sessions;
  std::string name = {};  ///< What the client calls itself.
  bool ended = false;     ///< The client gets no more answers.
};

/// A command, and what the command COMMAND tells about it.
struct Command {
  std::string_view name;  ///< In lower case.
  int arity;              ///< How many arguments, with the name; negative: so many or more.
  int first_key;          ///< Which arguments are keys: from here
  int last_key;           ///< to here; negative: counted from the end
  int key_step;           ///< with such steps.
  std::string_view flags;
  std::string_view categories;
  std::string_view syntax;
  std::string_view summary;
  std::string_view since;  ///< The version of Redis that had it first.
  std::string_view group;
  void (*run)(Session& session, Arguments arguments, Reply& reply);
  bool on_all_keys = false;  ///< It takes long if there are many keys.

  bool takes(std::size_t arguments) const noexcept {
    const auto count = static_cast<int>(arguments);
    return arity < 0 ? count >= -arity : count == arity;
  }
};

/// @name The commands by what they are about, each with its table
/// @{
std::span<const Command> connection_commands() noexcept;
std::span<const Command> string_commands() noexcept;
std::span<const Command> key_commands() noexcept;
std::span<const Command> server_commands() noexcept;
/// @}

/// All of them.
std::span<const Command> all_commands();
/// The command of a name, in upper or lower case; null: there is none.
const Command* find_command(std::string_view name);

/// Answers one request.
void execute(Session& session, Arguments arguments, Reply& reply);

/// @name Errors that several commands have
/// @{
void wrong_arity(std::string_view command, Reply& reply);
void unknown_subcommand(std::string_view command, std::string_view subcommand, Reply& reply);
void syntax_error(Reply& reply);
/// @}

/// True if a pattern is longer than the limit; that is the reply.
bool is_too_long_pattern(std::string_view pattern, const Session& session, Reply& reply);

/// The integer that an argument is; if it is none, that is the reply.
std::optional<std::int64_t> integer_argument(std::string_view argument, Reply& reply);

}  // namespace kv
