// Is this client legitimate? Whoever connects must prove that it knows the key, before a handler sees it.
//
//     (umask 077 && head -c 32 /dev/urandom > /tmp/key)
//     09_hmac_server --key-file /tmp/key     and     09_hmac_client --key-file /tmp/key hello
//
// The first message tells the client how many others were rejected so far. Try a client with another key, and one
// that says nothing: nc 127.0.0.1 9000. That is aborted after five seconds, and holds up nobody meanwhile (without
// --mixin none). Python can be a client, too:
//
//     09_hmac_server --key-file /tmp/key --protocol multiprocessing          before Python 3.12 with --allow-md5
//     python3 -c 'from multiprocessing.connection import Client
//     server = Client(("127.0.0.1", 9000), authkey=open("/tmp/key", "rb").read())
//     print(server.recv_bytes()); server.send_bytes(b"hello"); print(server.recv_bytes())'

#include <CLI/CLI.hpp>
#include <boost/algorithm/string/case_conv.hpp>
#include <chrono>
#include <sockserv.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "09_hmac/protocol.hpp"
#include "support/serve.hpp"

namespace {

// snippet: handler
struct Upper : sockserv::MessageRequestHandler {
  Upper() { framing = example::framing; }

  void handle() override {
    const auto rejected = server.stats().authentication_failures;
    messages.send("welcome; rejected so far: " + std::to_string(rejected));
    for (const std::string_view message : messages) messages.send(boost::to_upper_copy(std::string(message)));
  }
};
// snippet end

}  // namespace

int main(int argc, char** argv) {
  sockserv::Authentication authentication;
  const auto declare = [&](CLI::App& app) {
    example::declare_authentication(app, authentication);
    app.add_option_function<int>(
           "--handshake-limit", [&](int seconds) { authentication.time_limit = std::chrono::seconds(seconds); },
           "How long a client may take to prove that it knows the key")
        ->type_name("SECONDS")
        ->check(CLI::Range(1, 86'400))
        ->default_str("5");
  };
  // snippet: mixin
  const auto require_key = [&](auto& server) { server.authentication = authentication; };
  std::vector<example::Choice> choices;
  example::add_mixins<sockserv::HmacAuthMixIn<sockserv::TCPServer<Upper>>>("tcp", choices, require_key);
  example::add_mixins<sockserv::HmacAuthMixIn<sockserv::UnixStreamServer<Upper>>>("unix", choices, require_key);
  // snippet end
  return example::serve_choice(argc, argv,
                               {.purpose = "Answers in capitals, and only those who know the key.",
                                .listen = "tcp://127.0.0.1:9000",
                                .declare_options = declare},
                               choices);
}
