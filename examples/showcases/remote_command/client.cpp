// Runs a command on a server, prints what it prints, and ends as it ends.
//
//     10_command_client --key-file /tmp/key -- ls -l /     with     10_command_server --key-file /tmp/key
//
// Watch the exit code (echo $?): it is the command's, or 128 and the number of the signal that has ended it, as a shell
// has it; 125 if there has been no command, as env(1) has it. A star is a star here: no shell sees it, unless --shell
// asks for one, and the server allows that.

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <exception>
#include <iostream>
#include <sockserv.hpp>
#include <sockserv/layer/hmac_auth.hpp>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "remote_command/protocol.hpp"
#include "support/command_line.hpp"
#include "support/printable.hpp"
#include "support/secret_key.hpp"

namespace remote {
namespace {

constexpr int exit_no_command = 125;

/// Writes bytes as they are. Not by a stream, since what has come should be seen at once.
void print(int descriptor, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t size = ::write(descriptor, bytes.data(), bytes.size());
    if (size == -1 && errno == EINTR) continue;
    if (size == -1) throw std::system_error(errno, std::generic_category(), "write");
    bytes.remove_prefix(static_cast<std::size_t>(size));
  }
}

/// The exit code that a result stands for; says what else there is to say.
int exit_code_of(const Json& result) {
  if (result.contains("error")) {
    throw std::runtime_error("no command: " + result["error"].get<std::string>());
  }
  if (result.contains("limit")) {
    std::cerr << "10_command_client: ended by the server: over its limit of "
              << example::printable(result["limit"].get<std::string>()) << '\n';
  }
  return result.contains("signal") ? 128 + result["signal"].get<int>() : result.at("exit").get<int>();
}

// snippet: client
int run(const sockserv::Address& server, const sockserv::Authentication& authentication, const Json& request) {
  auto client = sockserv::create_connection(server, patience);
  sockserv::authenticate(client.connection, authentication, sockserv::AuthenticationRole::client);
  sockserv::MessageStream messages(client.rfile, client.wfile, framing);
  messages.send(request.dump());
  for (const std::string_view message : messages) {
    const auto kind = static_cast<Kind>(message.empty() ? '\0' : message.front());
    if (kind == Kind::result) return exit_code_of(Json::parse(message.substr(1)));
    print(kind == Kind::standard_output ? STDOUT_FILENO : STDERR_FILENO, message.substr(1));
  }
  throw std::runtime_error("the server has ended the connection before the command's end");
}
// snippet end

}  // namespace
}  // namespace remote

int main(int argc, char** argv) {
  std::string url = "tcp://127.0.0.1:9000";
  bool shell = false;
  std::string directory;
  std::vector<std::string> command;
  sockserv::Authentication authentication;
  const auto declare = [&](CLI::App& app) {
    app.add_option("--server", url, "The server, as it says where it listens")->type_name("URL")->capture_default_str();
    example::declare_key_option(app, authentication.key);
    app.add_flag("--shell", shell, "Have a shell run the command, which is one string then");
    app.add_option("--directory", directory, "Where on the server it runs; without this option,\nwhere the server does")
        ->type_name("DIR");
    app.add_option("COMMAND", command, "The command and its arguments, after --")->required();
    app.positionals_at_end();
  };
  return example::run_program(argc, argv, "Runs a command on a server.", declare, [&] {
    const sockserv::Address server = example::server_address(url);
    try {
      remote::Json request{{"command", command}, {"shell", shell}};
      if (!directory.empty()) request["directory"] = directory;
      return remote::run(server, authentication, request);
    } catch (const std::exception& error) {
      std::cerr << "10_command_client: " << example::printable(error.what()) << '\n';
      return remote::exit_no_command;
    }
  });
}
