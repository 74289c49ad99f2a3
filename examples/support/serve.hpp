#pragma once

/// The main() of the example servers: one command line for all, so that each example is about its handler.
///
///     int main(int argc, char** argv) {
///       return example::serve<sockserv::ThreadingTCPServer<Upper>>(
///           argc, argv, {.purpose = "Shouts.", .listen = "tcp://127.0.0.1:9000"});
///     }
///
/// Such a program prints one line, `listening on URL`, on standard output once it accepts, and ends with
/// `sockserv::ExitStatus` or `exit_usage`.

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <sockserv.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "command_line.hpp"

namespace example {

/// What a program says about itself.
struct About {
  std::string_view purpose;                ///< One sentence, for --help.
  std::string_view listen;                 ///< The URL of --listen if there is none.
  std::string_view mixin = {};             ///< That of --mixin if there is none. Empty: none.
  std::chrono::microseconds busy_poll{0};  ///< That of --busy-poll if there is none.
  /// Adds the program's own options. Empty: it has none.
  std::function<void(CLI::App&)> declare_options = {};
};

/// What the command line asks for.
struct Options {
  std::string scheme;
  sockserv::Address address;
  std::optional<std::size_t> workers;
  std::size_t wbufsize = 0;
  std::chrono::microseconds busy_poll;
  sockserv::ServerOptions server;
  sockserv::RunOptions run;
};

/// A server that the command line can choose.
struct Choice {
  std::string_view scheme;  ///< Of the URL: tcp, udp, unix or unixgram.
  std::string_view mixin;   ///< Empty in a program without --mixin.
  int (*serve)(const Options&);
};

/// Reads the command line, serves what it chooses, and reports what goes wrong; returns the exit code.
int serve_choice(int argc, char** argv, const About& about, std::span<const Choice> choices);

/// Says where the server listens, and runs it.
int announce_and_run(sockserv::AbstractServer& server, const Options& options);

template <class Server>
int serve_one(const Options& options) {
  using Handler = typename Server::RequestHandlerClass;
  Server server(options.address, options.server);
  if (options.workers) {
    if constexpr (requires { server.max_threads; }) server.max_threads = *options.workers;
    if constexpr (requires { server.max_children; }) server.max_children = *options.workers;
    if constexpr (requires { server.pool_size; }) server.pool_size = *options.workers;
    if constexpr (requires { server.processes; }) {
      server.processes = *options.workers;
      if constexpr (requires { server.loops; }) server.loops = 1;
    } else if constexpr (requires { server.loops; }) {
      server.loops = *options.workers;
    }
  }
  if constexpr (requires { server.busy_poll; }) server.busy_poll = options.busy_poll;
  if constexpr (requires(Handler handler) { handler.wbufsize; }) {
    if (options.wbufsize > 0) {
      server.handler_factory = [size = options.wbufsize] {
        auto handler = std::make_unique<Handler>();
        handler->wbufsize = size;
        return handler;
      };
    }
  }
  return announce_and_run(server, options);
}

/// A program that is one kind of server; its URL has the scheme of `about.listen`.
template <class Server>
int serve(int argc, char** argv, const About& about) {
  const Choice only{about.listen.substr(0, about.listen.find(':')), "", serve_one<Server>};
  return serve_choice(argc, argv, about, {&only, 1});
}

/// Adds a server under every mixin.
template <class Server>
void add_mixins(std::string_view scheme, std::vector<Choice>& choices) {
  choices.push_back({scheme, "none", serve_one<Server>});
  choices.push_back({scheme, "threading", serve_one<sockserv::ThreadingMixIn<Server>>});
  choices.push_back({scheme, "forking", serve_one<sockserv::ForkingMixIn<Server>>});
  choices.push_back({scheme, "preforking", serve_one<sockserv::PreForkingMixIn<Server>>});
  choices.push_back({scheme, "thread_pool", serve_one<sockserv::ThreadPoolMixIn<Server>>});
  choices.push_back({scheme, "fiber", serve_one<sockserv::FiberMixIn<Server>>});
  choices.push_back({scheme, "preforking_fiber", serve_one<sockserv::PreForkingMixIn<sockserv::FiberMixIn<Server>>>});
}

/// A program that serves streams of every kind, as --listen and --mixin say.
template <class Handler>
int serve_streams(int argc, char** argv, const About& about) {
  std::vector<Choice> choices;
  add_mixins<sockserv::TCPServer<Handler>>("tcp", choices);
  add_mixins<sockserv::UnixStreamServer<Handler>>("unix", choices);
  return serve_choice(argc, argv, about, choices);
}

/// A program that is every kind of server, as --listen and --mixin say.
template <class StreamHandler, class DatagramHandler>
int serve_any(int argc, char** argv, const About& about) {
  std::vector<Choice> choices;
  add_mixins<sockserv::TCPServer<StreamHandler>>("tcp", choices);
  add_mixins<sockserv::UDPServer<DatagramHandler>>("udp", choices);
  add_mixins<sockserv::UnixStreamServer<StreamHandler>>("unix", choices);
  add_mixins<sockserv::UnixDatagramServer<DatagramHandler>>("unixgram", choices);
  return serve_choice(argc, argv, about, choices);
}

}  // namespace example
