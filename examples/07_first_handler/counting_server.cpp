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

// snippet: handler
struct Visit : sockserv::StreamRequestHandler {
  explicit Visit(std::atomic<int>& visitors) : before(visitors++) {}

  void handle() override { wfile.write("visitors before you: " + std::to_string(before) + "\n"); }

  const int before;
};
// snippet end

// snippet: main
int main() {
  std::atomic<int> visitors = 0;  // before the server, so that it outlives the handlers
  sockserv::ThreadingTCPServer<Visit> server({"127.0.0.1", 9000});
  server.construct_handlers_with(visitors);
  return sockserv::run(server);
}
// snippet end
