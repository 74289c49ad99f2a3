// error: UDPServer and UnixDatagramServer serve datagrams: their handler derives from DatagramRequestHandler

#include <sockserv.hpp>

struct Stream : sockserv::StreamRequestHandler {
  void handle() override {}
};

sockserv::UDPServer<Stream> server({"127.0.0.1", 0});
