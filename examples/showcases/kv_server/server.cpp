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
#include <vector>

#include "handler.hpp"
#include "support/serve.hpp"

namespace {

/// Adds a server under every mixin that has one process.
template <class Base>
void add_servers(std::string_view scheme, std::vector<example::Choice>& choices, const auto& configure) {
  using namespace sockserv;
  using Server = kv::KeyValueServer<Base>;
  choices.push_back(example::make_choice<Server>(scheme, "none", configure));
  choices.push_back(example::make_choice<ThreadingMixIn<Server>>(scheme, "threading", configure));
  choices.push_back(example::make_choice<ThreadPoolMixIn<Server>>(scheme, "thread_pool", configure));
  choices.push_back(example::make_choice<FiberMixIn<Server>>(scheme, "fiber", configure));
}

}  // namespace

int main(int argc, char** argv) {
  kv::RequestLimits limits;
  kv::AnswerLimits answer_limits;
  const auto set_limits = [&](kv::Shared& shared) {
    shared.limits = limits;
    shared.answer_limits = answer_limits;
  };
  std::vector<example::Choice> choices;
  add_servers<sockserv::TCPServer<kv::Handler>>("tcp", choices, set_limits);
  add_servers<sockserv::UnixStreamServer<kv::Handler>>("unix", choices, set_limits);
  const auto declare_options = [&](CLI::App& app) {
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
