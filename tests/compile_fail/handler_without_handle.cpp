// error: a request handler overrides handle\(\)

#include <sockserv.hpp>

struct Idle : sockserv::StreamRequestHandler {};

sockserv::TCPServer<Idle> server({"127.0.0.1", 0});
