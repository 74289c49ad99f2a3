// The same for datagrams: a request is one packet, and the reply is one.
//
//     datagram_upper_server     and     nc -u 127.0.0.1 9000
//
// There is no connection: each packet gets a handler of its own, which is gone when the reply has left. A packet in
// upper case gets no reply: it may be another such server's reply, and the two would answer each other indefinitely.

#include <boost/algorithm/string/case_conv.hpp>
#include <sockserv.hpp>
#include <string>

#include "support/serve.hpp"

struct Upper : sockserv::DatagramRequestHandler {
  void handle() override {
    const std::string upper = boost::to_upper_copy(packet);
    if (upper != packet) wfile.write(upper);
  }
};

int main(int argc, char** argv) {
  return example::serve<sockserv::ThreadingUDPServer<Upper>>(
      argc, argv,
      {.purpose = "Sends packets back in upper case, unless they are in upper case.",
       .listen = "udp://127.0.0.1:9000"});
}
