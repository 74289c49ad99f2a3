// What each consumer project builds: a server that answers one client.

#include <boost/asio/ip/tcp.hpp>
#include <iostream>
#include <sockserv.hpp>
#include <string>

namespace {

struct Greeter : sockserv::StreamRequestHandler {
  void handle() override {
    for (std::string_view line : rfile) wfile.write("hello " + std::string(line));
  }
};

}  // namespace

int main() {
  sockserv::ThreadingTCPServer<Greeter> server({"127.0.0.1", 0});
  sockserv::ServerThread background(server);

  boost::asio::ip::tcp::iostream client("127.0.0.1", std::to_string(server.server_address().port()));
  client << "world\n" << std::flush;
  std::string answer;
  std::getline(client, answer);

  std::cout << answer << '\n';
  return answer == "hello world" ? 0 : 1;
}
