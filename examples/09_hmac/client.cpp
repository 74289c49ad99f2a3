// Proves to a server that it knows the key, and has the server prove the same; then asks, and prints the answers.
//
//     09_hmac_client --key-file /tmp/key hello world     with     09_hmac_server --key-file /tmp/key
//
// Watch the packets: the key is in none of them. With --protocol simple, which both sides must be given, the client
// cannot know whom it talks to.

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <sockserv.hpp>
#include <sockserv/layer/hmac_auth.hpp>
#include <string>
#include <vector>

#include "09_hmac/protocol.hpp"
#include "support/command_line.hpp"
#include "support/printable.hpp"

namespace {

using std::chrono::seconds;

/// False if there is none, because the server has ended the connection.
bool print_answer(sockserv::MessageStream& messages) {
  const auto answer = messages.receive();
  if (answer) std::cout << example::printable(*answer) << std::endl;
  return answer.has_value();
}

// snippet: client
/// False if the server has rejected us.
bool ask(const sockserv::Address& server, const sockserv::Authentication& authentication,
         const std::vector<std::string>& questions) {
  auto client = sockserv::create_connection(server, seconds(5), {.timeout = seconds(5)});
  sockserv::authenticate(client.connection, authentication, sockserv::AuthenticationRole::client);
  sockserv::MessageStream messages(client.rfile, client.wfile, example::framing);
  if (!print_answer(messages)) return false;
  for (const std::string& question : questions) {
    messages.send(question);
    if (!print_answer(messages)) return false;
  }
  return true;
}
// snippet end

}  // namespace

int main(int argc, char** argv) {
  std::string url = "tcp://127.0.0.1:9000";
  std::vector<std::string> questions;
  sockserv::Authentication authentication;
  const auto declare = [&](CLI::App& app) {
    app.add_option("--server", url, "The server, as it says where it listens")->type_name("URL")->capture_default_str();
    example::declare_authentication(app, authentication);
    app.add_option("QUESTION", questions, "What to send, in messages of their own")->required();
  };
  return example::run_program(argc, argv, "Asks a server that wants to know who asks.", declare, [&] {
    if (ask(example::server_address(url), authentication, questions)) return EXIT_SUCCESS;
    std::cerr << "09_hmac_client: the server has ended the connection; perhaps it has another key\n";
    return EXIT_FAILURE;
  });
}
