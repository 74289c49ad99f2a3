// A handler for datagrams: one packet in, one packet out.
//
//     07_udp_server     and     02_udp_client     or     nc -u 127.0.0.1 9000
//
// There is no connection, so each packet gets a handler of its own. `packet` is what has come; what is written to
// `wfile` goes back, as one packet, when handle() has returned. If nothing is written, no packet goes back: a packet in
// upper case may be another such server's answer, and answers must not be answered (see
// docs/tutorial/02_udp_by_hand.md).

#include <boost/algorithm/string/case_conv.hpp>
#include <sockserv.hpp>
#include <string>

#include "support/serve.hpp"

// snippet: handler
struct Upper : sockserv::DatagramRequestHandler {
  void handle() override {
    const std::string upper = boost::to_upper_copy(packet);
    if (upper != packet) wfile.write(upper);
  }
};
// snippet end

int main(int argc, char** argv) {
  const example::About about{.purpose = "Sends packets back in upper case, unless they are in upper case.",
                             .listen = "udp://127.0.0.1:9000"};
  return example::serve_by(argc, argv, about, [](const example::Options& options) {
    sockserv::UDPServer<Upper> server(options.address);
    return sockserv::run(server, options.announcing(server));
  });
}
