// One handler, and every way to run it. The mixin says who does; the handler stays as it is.
//
//     08_mixins_server --mixin threading     and     08_mixins_client
//
// Each answer says who gave it. Try none, threading, forking, thread_pool, preforking and fiber, and --workers 1 with
// the last three. Watch what changes from client to client: nothing, the thread, the process; and for fibers only the
// stack, for that is what a fiber is: a stack of its own, in a thread that it shares.

#include <unistd.h>

#include <sockserv.hpp>
#include <sstream>
#include <string>
#include <string_view>

#include "support/serve.hpp"

// snippet: who
std::string who_ran_it() {
  std::ostringstream answer;
  answer << "process " << ::getpid() << " thread " << ::gettid() << " stack " << __builtin_frame_address(0) << '\n';
  return answer.str();
}
// snippet end

// snippet: handlers
struct WhoForLines : sockserv::StreamRequestHandler {
  void handle() override {
    while (rfile.readline()) wfile.write(who_ran_it());
  }
};

struct WhoForPackets : sockserv::DatagramRequestHandler {
  void handle() override {
    if (packet.starts_with("who")) wfile.write(who_ran_it());  // a reply of another such server does not
  }
};
// snippet end

// In one line: sockserv::ThreadingMixIn<sockserv::TCPServer<WhoForLines>>, which is sockserv::ThreadingTCPServer<…>.
int main(int argc, char** argv) {
  return example::serve_any<WhoForLines, WhoForPackets>(
      argc, argv,
      {.purpose = "Answers every line, and every packet that begins with \"who\",\nwith who ran the handler.",
       .listen = "tcp://127.0.0.1:9000"});
}
