// The smallest useful server: a handler, and the server that runs it.
//
//     upper_server              and     nc 127.0.0.1 9000
//
// Type a line into nc and see it come back in upper case. Ctrl-D there says that no more will come; Ctrl-C here ends
// the server once its clients have finished.

#include <boost/algorithm/string/case_conv.hpp>
#include <sockserv.hpp>
#include <string>
#include <string_view>

struct Upper : sockserv::StreamRequestHandler {
  void handle() override {
    for (std::string_view line : rfile) wfile.write(boost::to_upper_copy(std::string(line)));
  }
};

int main() { return sockserv::run<sockserv::ThreadingTCPServer<Upper>>({"127.0.0.1", 9000}); }
