// What each consumer project builds: a server that answers one client. Exceptions cross the library's border both ways.

#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <chrono>
#include <exception>
#include <iostream>
#include <sockserv.hpp>
#include <string>
#include <string_view>

using namespace std::chrono_literals;

namespace {

struct Unkind {};

struct Greeter : sockserv::StreamRequestHandler {
  void handle() override {
    for (std::string_view line : rfile) {
      if (line.starts_with("!")) throw Unkind{};
      wfile.write("hello " + std::string(line));
    }
  }
};

struct Server : sockserv::TCPServer<Greeter> {
  using TCPServer::TCPServer;
  ~Server() override { server_close(); }

  void handle_error(const sockserv::Address&, std::exception_ptr error) override {
    try {
      std::rethrow_exception(error);
    } catch (const Unkind&) {
      has_caught = true;
    }
  }

  bool has_caught = false;
};

bool catches_what_the_library_throws(sockserv::ClientConnection client) {
  try {
    char byte = 0;
    client.connection.settimeout(1ms);
    client.connection.recv(boost::asio::buffer(&byte, 1));
  } catch (const sockserv::timeout_error& error) {
    return error.code() == sockserv::errc::timed_out;
  }
  return false;
}

bool catches_what_its_handler_throws() {
  Server server({"127.0.0.1", 0});
  auto client = sockserv::create_connection({"127.0.0.1", server.server_address().port()}, 10s);
  client.wfile.write("!\n");
  server.handle_request();
  return server.has_caught;
}

}  // namespace

int main() {
  sockserv::ThreadingTCPServer<Greeter> server({"127.0.0.1", 0});
  sockserv::ServerThread background(server);

  boost::asio::ip::tcp::iostream client("127.0.0.1", std::to_string(server.server_address().port()));
  client << "world\n" << std::flush;
  std::string answer;
  std::getline(client, answer);

  std::cout << answer << '\n';
  const bool catches = catches_what_the_library_throws(
                           sockserv::create_connection({"127.0.0.1", server.server_address().port()}, 10s)) &&
                       catches_what_its_handler_throws();
  return answer == "hello world" && catches ? 0 : 1;
}
