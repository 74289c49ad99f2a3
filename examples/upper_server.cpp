// The smallest useful server: a handler, and the server that runs it.
//
//     upper_server              and     nc 127.0.0.1 9000
//
// Type a line into nc and see it come back in upper case. Ctrl-D there says that no more will come; Ctrl-C
// here ends the server once its clients have finished. The two lines that make the server and run it are all that a
// program needs; serve_by() around them reads the command line (--help shows it) and reports errors.

#include <boost/algorithm/string/case_conv.hpp>
#include <sockserv.hpp>
#include <string>
#include <string_view>

#include "support/serve.hpp"

struct Upper : sockserv::StreamRequestHandler {
  void handle() override {
    for (std::string_view line : rfile) wfile.write(boost::to_upper_copy(std::string(line)));
  }
};

int main(int argc, char** argv) {
  const example::About about{.purpose = "Sends every line back in upper case.", .listen = "tcp://127.0.0.1:9000"};
  return example::serve_by(argc, argv, about, [](const example::Options& options) {
    sockserv::ThreadingTCPServer<Upper> server(options.address);
    return sockserv::run(server, options.announcing(server));
  });
}
