// error: TCPServer and UnixStreamServer serve streams: their handler derives from StreamRequestHandler

#include <sockserv.hpp>

struct Datagram : sockserv::DatagramRequestHandler {
  void handle() override {}
};

sockserv::ThreadingTCPServer<Datagram> server({"127.0.0.1", 0});
