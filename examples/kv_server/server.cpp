// A key-value server that clients of Redis can use.
//
//     kv_server --mixin fiber     and     redis-cli -p 9000 set greeting hello
//                                         redis-benchmark -p 9000 -t get,set
//
// It shows a protocol of its own on the library: resp.hpp takes requests out of bytes and knows no socket, store.hpp
// keeps the data and knows no protocol, commands.hpp has one answer for each request, and handler.cpp is all that is
// left to do. The handler is the same under every mixin. README.md has the commands, and what differs from Redis.

#include <CLI/CLI.hpp>
#include <chrono>
#include <sockserv.hpp>
#include <utility>
#include <vector>

#include "../support/serve.hpp"
#include "handler.hpp"

namespace {

/// As the command line says.
kv::RequestLimits limits;
kv::AnswerLimits answer_limits;

template <class Base>
class Server : public kv::KeyValueServer<Base> {
 public:
  Server(const sockserv::Address& address, sockserv::ServerOptions options)
      : kv::KeyValueServer<Base>(address, std::move(options)) {
    this->limits = ::limits;
    this->answer_limits = ::answer_limits;
  }
};

/// Adds a server under every mixin that has one process.
template <class Base>
void add_servers(std::string_view scheme, std::vector<example::Choice>& choices) {
  using One = Server<Base>;
  choices.push_back({scheme, "none", example::serve_one<One>});
  choices.push_back({scheme, "threading", example::serve_one<sockserv::ThreadingMixIn<One>>});
  choices.push_back({scheme, "thread_pool", example::serve_one<sockserv::ThreadPoolMixIn<One>>});
  choices.push_back({scheme, "fiber", example::serve_one<sockserv::FiberMixIn<One>>});
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<example::Choice> choices;
  add_servers<sockserv::TCPServer<kv::Handler>>("tcp", choices);
  add_servers<sockserv::UnixStreamServer<kv::Handler>>("unix", choices);
  const auto declare_options = [](CLI::App& app) {
    app.add_option("--max-bulk", limits.argument_size, "The longest key or value, in bytes")
        ->type_name("BYTES")
        ->check(CLI::Range(1, 1 << 30))
        ->capture_default_str();
    app.add_option("--max-unread", answer_limits.unread,
                   "How much of its answers may wait for a client that sends on\nwithout reading them")
        ->type_name("BYTES")
        ->check(CLI::Range(1, 1 << 30))
        ->capture_default_str();
  };
  return example::serve_choice(argc, argv,
                               {.purpose = "Keeps keys and values, for clients of Redis.",
                                .listen = "tcp://127.0.0.1:9000",
                                .busy_poll = std::chrono::microseconds(30),
                                .declare_options = declare_options},
                               choices);
}
