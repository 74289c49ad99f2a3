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

// snippet: handler
struct Upper : sockserv::DatagramRequestHandler {
  void handle() override {
    const std::string upper = boost::to_upper_copy(packet);
    if (upper != packet) wfile.write(upper);
  }
};
// snippet end

// snippet: main
int main() { return sockserv::run<sockserv::UDPServer<Upper>>({"127.0.0.1", 9000}); }
// snippet end
