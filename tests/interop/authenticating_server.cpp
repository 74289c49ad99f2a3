// A server whose clients must know a key: authenticating_server PROTOCOL KEY OPTION...
//
// PROTOCOL is a name of `sockserv::AuthenticationProtocol`, or multiprocessing_md5, which allows MD5; the options are
// those of the example servers. Every message (as Python's multiprocessing sends them) comes back as it was.

#include "authentication.hpp"

#include <vector>

#include "support/serve.hpp"

namespace {

sockserv::Authentication authentication_of_all;

struct Echo : sockserv::MessageRequestHandler {
  Echo() { framing = interop::framing; }
  void handle() override {
    for (auto& message : messages) messages.send(message);
  }
};

template <class Server>
struct Authenticating : sockserv::HmacAuthMixIn<Server> {
  explicit Authenticating(const sockserv::Address& address, sockserv::ServerOptions options)
      : sockserv::HmacAuthMixIn<Server>(address, std::move(options)) {
    this->authentication = authentication_of_all;
  }
  ~Authenticating() override { this->server_close(); }
};

}  // namespace

int main(int argc, char** argv) {
  authentication_of_all = interop::authentication_of(argc, argv, "authenticating_server PROTOCOL KEY OPTION...");
  if (authentication_of_all.key.empty()) return example::exit_usage;
  std::vector<example::Choice> choices;
  example::add_mixins<Authenticating<sockserv::TCPServer<Echo>>>("tcp", choices);
  example::add_mixins<Authenticating<sockserv::UnixStreamServer<Echo>>>("unix", choices);
  return example::serve_choice(argc - 2, argv + 2,
                               {.purpose = "Sends every message back.", .listen = "tcp://127.0.0.1:9000"}, choices);
}
