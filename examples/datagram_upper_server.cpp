// The same for datagrams: a request is one packet, and the reply is one.
//
//     datagram_upper_server     and     nc -u 127.0.0.1 9000
//
// There is no connection: each packet gets a handler of its own, which is gone when the reply has left.

#include <boost/algorithm/string/case_conv.hpp>
#include <sockserv.hpp>

#include "support/serve.hpp"

struct Upper : sockserv::DatagramRequestHandler {
  void handle() override { wfile.write(boost::to_upper_copy(packet)); }
};

int main(int argc, char** argv) {
  return example::serve<sockserv::ThreadingUDPServer<Upper>>(
      argc, argv, {.purpose = "Sends every packet back in upper case.", .listen = "udp://127.0.0.1:9000"});
}
