// A server whose handlers share a counter. It tells each client how many clients came before it.
//
//     07_counting_server     and, more than once,     nc 127.0.0.1 9000
//
// Each client gets a handler of its own, so the counter lives in main(). The server
// passes it to the constructor of each handler, as a reference to that one object. Handlers run in threads, several at
// a time, so the counter is atomic. In processes (ForkingTCPServer) each would count in a copy of its own.

#include <atomic>
#include <sockserv.hpp>
#include <string>

#include "support/serve.hpp"

// snippet: handler
struct Visit : sockserv::StreamRequestHandler {
  explicit Visit(std::atomic<int>& visitors) : before(visitors++) {}

  void handle() override { wfile.write("visitors before you: " + std::to_string(before) + "\n"); }

  const int before;
};
// snippet end

int main(int argc, char** argv) {
  const example::About about{.purpose = "Tells each client how many came before it.", .listen = "tcp://127.0.0.1:9000"};
  return example::serve_by(argc, argv, about, [](const example::Options& options) {
    // snippet: state
    std::atomic<int> visitors = 0;  // before the server, so that it outlives the handlers
    sockserv::ThreadingTCPServer<Visit> server(options.address);
    server.construct_handlers_with(visitors);
    // snippet end
    return sockserv::run(server, options.announcing(server));
  });
}
