// error: ThreadingMixIn goes around no mixin that forks

#include <sockserv.hpp>

struct Handler : sockserv::StreamRequestHandler {
  void handle() override {}
};

sockserv::ThreadingMixIn<sockserv::PreForkingTCPServer<Handler>> server({"127.0.0.1", 0});
