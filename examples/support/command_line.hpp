#pragma once

/// What the command lines of servers and clients have in common.

#include <functional>
#include <sockserv/address.hpp>
#include <string>
#include <string_view>

namespace CLI {
class App;
}

namespace example {

/// The exit code for a command line that makes no sense.
inline constexpr int exit_usage = 2;

/// The scheme of a URL; empty if it has none.
std::string_view scheme_of(std::string_view url);

/// The address of a URL as servers print it: tcp://HOST:PORT, udp://HOST:PORT, unix://PATH, unixgram://PATH, or @NAME
/// instead of a path for a name in Linux's abstract namespace.
/// @throws std::invalid_argument if it is none.
sockserv::Address address_of(std::string_view url);

/// The address that the option --server of a client has.
/// @throws CLI::ValidationError if there can be no server.
sockserv::Address server_address(const std::string& url);

/// The main() of a program: declares its options, reads the command line, calls `body`, which may still throw
/// CLI::ValidationError, and reports what goes wrong. `purpose` is one sentence, for --help. Returns the exit code:
/// what `body` returns, `exit_usage`, or `sockserv::exit_error` if it throws.
int run_program(int argc, char** argv, std::string_view purpose, const std::function<void(CLI::App&)>& declare_options,
                const std::function<int()>& body);

}  // namespace example
