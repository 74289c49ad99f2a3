// A client that knows a key: authenticating_client PROTOCOL KEY (HOST PORT | PATH) MESSAGE...
//
// It connects, authenticates itself and perhaps its server, sends each message and prints what comes back. Exit code 3:
// the server has not authenticated itself, or has rejected the client.

#include "authentication.hpp"

#include <chrono>
#include <cstdlib>
#include <exception>
#include <string>

namespace {

int talk(const sockserv::Authentication& authentication, const sockserv::Destination& server, int argc, char** argv) {
  using namespace std::chrono_literals;
  sockserv::ClientConnection connection = sockserv::create_connection(server, 30s, {.timeout = 30s});
  authenticate(connection.connection, authentication, sockserv::AuthenticationRole::client);
  sockserv::MessageStream messages(connection.rfile, connection.wfile, interop::framing);
  for (int i = 0; i < argc; ++i) {
    messages.send(argv[i]);
    const auto answer = messages.receive();
    if (!answer) return 3;
    std::cout << *answer << '\n';
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const auto authentication =
      interop::authentication_of(argc, argv, "authenticating_client PROTOCOL KEY (HOST PORT | PATH) MESSAGE...");
  if (authentication.key.empty() || argc < 4) return 2;
  const bool is_path = std::string_view(argv[3]).starts_with('/');
  try {
    if (is_path) return talk(authentication, argv[3], argc - 4, argv + 4);
    if (argc > 4) return talk(authentication, {argv[3], std::stoi(argv[4])}, argc - 5, argv + 5);
    return 2;
  } catch (const sockserv::authentication_error& error) {
    std::cerr << error.what() << '\n';
    return 3;
  } catch (const sockserv::peer_gone_error& error) {
    std::cerr << error.what() << '\n';
    return 3;
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
