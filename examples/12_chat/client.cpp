// Says what you type, and shows what others say.
//
//     12_chat_client     with     12_chat_server, or     12_chat_client --server udp://127.0.0.1:9000
//
// One thread waits for the keyboard and sends, another waits for the server and prints: a connection and a datagram
// endpoint may each be used by one of either kind at the same time. The end of the input (Ctrl-D) is the end of what is
// said; over TCP the rest of the others' lines is still shown.

#include <sys/socket.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <sockserv.hpp>
#include <string>
#include <thread>

#include "support/command_line.hpp"
#include "support/printable.hpp"

namespace {

using std::chrono::seconds;

/// Runs `send_lines` in a thread, and `receive_lines` in this one, whose end is the program's: the other may still be
/// waiting for the keyboard, so nothing that it uses is destroyed.
template <class Send, class Receive>
[[noreturn]] void converse(const Send& send_lines, const Receive& receive_lines) {
  std::thread([&] {
    try {
      send_lines();
    } catch (const boost::system::system_error&) {
      // The server has gone, as the other thread will find.
    }
  }).detach();
  int code = EXIT_SUCCESS;
  try {
    receive_lines();
  } catch (const boost::system::system_error& error) {
    std::cerr << "12_chat_client: " << example::printable(error.what()) << '\n';
    code = EXIT_FAILURE;
  }
  std::cout << std::flush;
  std::_Exit(code);
}

void chat_over_tcp(const sockserv::Address& server) {
  auto client = sockserv::create_connection(server, seconds(10));
  converse(
      [&] {
        for (std::string line; std::getline(std::cin, line);) client.wfile.write(line + '\n');
        client.shutdown(SHUT_WR);
      },
      [&] {
        while (const auto line = client.rfile.readline()) {
          std::cout << example::printable(line->substr(0, line->find('\n'))) << std::endl;
        }
      });
}

// snippet: keep alive
void chat_over_udp(const sockserv::Address& server, seconds keep_alive) {
  using Clock = std::chrono::steady_clock;
  sockserv::DatagramEndpoint endpoint(server);
  endpoint.send("");  // who has not said anything hears nothing
  converse(
      [&] {
        for (std::string line; std::getline(std::cin, line);) endpoint.send(line);
        std::_Exit(EXIT_SUCCESS);  // nobody will tell that there is nothing more to come
      },
      [&] {
        // However much is heard meanwhile, and from whom: the server counts what it hears from this end.
        for (auto next = Clock::now() + keep_alive;;) {
          const auto left = next - Clock::now();
          if (left <= Clock::duration::zero()) {
            endpoint.send("");  // or the server forgets who is listening
            next = Clock::now() + keep_alive;
            continue;
          }
          try {
            const auto packet = endpoint.receive(left);
            if (packet.sender == endpoint.getpeername()) std::cout << example::printable(packet.content) << std::endl;
          } catch (const sockserv::timeout_error&) {
            continue;
          }
        }
      });
}
// snippet end

}  // namespace

int main(int argc, char** argv) {
  std::string url = "tcp://127.0.0.1:9000";
  int keep_alive = 20;
  const auto declare = [&](CLI::App& app) {
    app.add_option("--server", url, "The server, as it says where it listens")->type_name("URL")->capture_default_str();
    app.add_option("--keep-alive", keep_alive,
                   "Over UDP: how often to tell the server that this client listens;\nmore often than its --lately")
        ->type_name("SECONDS")
        ->check(CLI::Range(1, 86'400))
        ->capture_default_str();
  };
  return example::run_program(argc, argv, "Says what you type, and shows what others say.", declare, [&] {
    const sockserv::Address server = example::server_address(url);
    example::scheme_of(url) == "udp" ? chat_over_udp(server, seconds(keep_alive)) : chat_over_tcp(server);
    return 0;
  });
}
