// What consumer projects of the component `auth` build: a server that answers those who know its key, and nobody else.

#include <chrono>
#include <iostream>
#include <optional>
#include <sockserv.hpp>
#include <sockserv/layer/hmac_auth.hpp>
#include <string>
#include <string_view>

using namespace std::chrono_literals;

namespace {

struct Greeter : sockserv::StreamRequestHandler {
  void handle() override {
    for (std::string_view line : rfile) wfile.write("hello " + std::string(line));
  }
};

using Server = sockserv::HmacAuthMixIn<sockserv::ThreadingTCPServer<Greeter>>;

/// The server's answer; nothing if the two do not authenticate each other.
std::optional<std::string> answer_to(const Server& server, const sockserv::SecretKey& key) {
  auto client = sockserv::create_connection({"127.0.0.1", server.server_address().port()}, 10s);
  try {
    sockserv::authenticate(client.connection, {.key = key}, sockserv::AuthenticationRole::client);
  } catch (const sockserv::authentication_error& error) {
    std::cout << error.what() << '\n';
    return std::nullopt;
  }
  client.wfile.write("world\n");
  return std::string(client.rfile.readline().value_or(""));
}

}  // namespace

int main() {
  Server server({"127.0.0.1", 0});
  server.authentication = {.key = "the key"};
  sockserv::ServerThread background(server);

  const bool answers = answer_to(server, "the key") == "hello world\n";
  const bool refuses = !answer_to(server, "another key");
  return answers && refuses ? 0 : 1;
}
