// 01 again, with the library: what remains is what the server does for a client.
//
//     07_tcp_server     and     01_tcp_client     or     nc 127.0.0.1 9000
//
// In Python, a class derived from socketserver.BaseRequestHandler and handed to socketserver.TCPServer. `request` is
// the client's socket; the calls on it are those of 01, with their checks. The library has done socket, bind, listen
// and accept, and will do close.

#include <boost/algorithm/string/case_conv.hpp>
#include <sockserv.hpp>
#include <string>

// snippet: handler
struct Upper : sockserv::BaseRequestHandler<sockserv::Connection> {
  void handle() override {
    for (std::string bytes; !(bytes = request.recv(1024)).empty();) request.sendall(boost::to_upper_copy(bytes));
  }
};
// snippet end

// snippet: main
int main() { return sockserv::run<sockserv::TCPServer<Upper>>({"127.0.0.1", 9000}); }
// snippet end
