// A handler with files, on a Unix socket: lines in, lines out.
//
//     07_unix_server     and     03_unix_stream_client by_hand.stream     or     nc -U by_hand.stream
//
// `rfile` is the client's socket read through a buffer, so a line is a line however it arrived: no sticky packets (05).
// The handler would serve TCP as well; what it says nothing about is up to the server. Watch the path go when the
// server ends, and be taken over if a server was killed.

#include <boost/algorithm/string/case_conv.hpp>
#include <sockserv.hpp>
#include <string>
#include <string_view>

// snippet: handler
struct Upper : sockserv::StreamRequestHandler {
  void handle() override {
    for (std::string_view line : rfile) wfile.write(boost::to_upper_copy(std::string(line)));
  }
};
// snippet end

// snippet: main
int main() { return sockserv::run<sockserv::UnixStreamServer<Upper>>("by_hand.stream"); }
// snippet end
