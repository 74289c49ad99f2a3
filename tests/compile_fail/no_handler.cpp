// error: a server's handler derives from StreamRequestHandler, DatagramRequestHandler or BaseRequestHandler

#include <sockserv.hpp>

struct Upper {
  void handle() {}
};

sockserv::TCPServer<Upper> server({"127.0.0.1", 0});
