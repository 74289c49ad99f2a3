// error: the handler has no constructor that takes these arguments
// note: lvalues are passed as references, rvalues as references to const

#include <sockserv.hpp>
#include <string>

struct Count : sockserv::StreamRequestHandler {
  explicit Count(std::string& text) : text(text) {}
  void handle() override { wfile.write(text); }
  std::string& text;
};

int main() {
  sockserv::TCPServer<Count> server({"127.0.0.1", 0});
  server.construct_handlers_with(std::string("a reference to const would not do"));
}
