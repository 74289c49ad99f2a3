// One handler for streams and datagrams, under every mixin: tools/demo starts it 28 times.
//
//     demo_server --mixin threading     and     nc 127.0.0.1 9000
//
// Both kinds of handler read from rfile and write to wfile, so the same code serves either. Send the line
// "who" over several connections, and see which process and which thread answer under each mixin. A packet in upper
// case gets no reply: it may be another such server's reply, and the two would answer each other indefinitely.

#include <unistd.h>

#include <boost/algorithm/string/case_conv.hpp>
#include <sockserv.hpp>
#include <string>
#include <string_view>

#include "support/serve.hpp"

std::string who_am_i() {
  return "process " + std::to_string(::getpid()) + " thread " + std::to_string(::gettid()) + "\n";
}

template <class Base>
struct Upper : Base {
  void handle() override {
    if constexpr (requires { this->packet; }) {
      if (boost::to_upper_copy(this->packet) == this->packet) return;
    }
    for (std::string_view line : this->rfile) {
      this->wfile.write(line == "who\n" ? who_am_i() : boost::to_upper_copy(std::string(line)));
    }
  }
};

int main(int argc, char** argv) {
  return example::serve_any<Upper<sockserv::StreamRequestHandler>, Upper<sockserv::DatagramRequestHandler>>(
      argc, argv,
      {.purpose = "Sends every line back in upper case; answers \"who\" with its process and thread.",
       .listen = "tcp://127.0.0.1:9000"});
}
