// error: UDPServer and UnixDatagramServer serve datagrams: their handler derives from DatagramRequestHandler

#include <sockserv.hpp>

struct Echo : sockserv::MessageRequestHandler {
  void handle() override {}
};

sockserv::FiberUDPServer<Echo> server({"127.0.0.1", 0});
