// All that the other files get wrong, done right. Compiles.

#include <sockserv.hpp>
#include <string>

struct Stream : sockserv::StreamRequestHandler {
  void handle() override {}
};

struct Datagram : sockserv::DatagramRequestHandler {
  void handle() override {}
};

struct Messages : sockserv::MessageRequestHandler {
  void handle() override {}
};

struct Count : sockserv::StreamRequestHandler {
  explicit Count(std::string& given) : text(given) {}
  void handle() override { wfile.write(text); }
  std::string& text;
};

int main() {
  sockserv::TCPServer<Stream> tcp({"127.0.0.1", 0});
  sockserv::UDPServer<Datagram> udp({"127.0.0.1", 0});
  sockserv::FiberTCPServer<Messages> messages({"127.0.0.1", 0});
  std::string text = "declared before the server";
  sockserv::TCPServer<Count> counting({"127.0.0.1", 0});
  counting.construct_handlers_with(text);
  sockserv::ThreadingMixIn<sockserv::TCPServer<Stream>> threading({"127.0.0.1", 0});
  sockserv::ForkingMixIn<sockserv::UDPServer<Datagram>> forking({"127.0.0.1", 0});
}
