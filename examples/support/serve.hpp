#pragma once

/// The main() of the example servers: one command line for all, so that each example is about its handler.
///
///     int main(int argc, char** argv) {
///       return example::serve<sockserv::ThreadingTCPServer<Upper>>(
///           argc, argv, {.purpose = "Shouts.", .listen = "tcp://127.0.0.1:9000"});
///     }
///
/// What handlers share is made in main(): the last arguments of `serve`, `serve_streams` and `serve_any` are those that
/// `construct_handlers_with` passes to each handler, once the command line has been read.
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
#include <type_traits>
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
  std::chrono::seconds drain_limit;

  /// How to run a server: with the limit for its drain, and with the line that says where it listens. These options
  /// and the server must outlive what is returned.
  sockserv::RunOptions announcing(const sockserv::AbstractServer& served) const;
};

/// A server that the command line can choose.
struct Choice {
  std::string_view scheme;  ///< Of the URL: tcp, udp, unix or unixgram.
  std::string_view mixin;   ///< Empty in a program without --mixin.
  std::function<int(const Options&)> serve;
};

/// Reads the command line, serves what it chooses, and reports what goes wrong; returns the exit code.
int serve_choice(int argc, char** argv, const About& about, std::span<const Choice> choices);

/// Sets what the command line says of the server's mixin.
template <class Server>
void set_knobs(Server& server, const Options& options) {
  if (options.workers) server.set_concurrency(*options.workers);
  if constexpr (requires { server.busy_poll; }) server.busy_poll = options.busy_poll;
}

/// Has handlers constructed with `state`, and sets their --wbufsize. Leaves a server alone whose handlers take
/// something else: it has called `construct_handlers_with` itself.
template <class Server, class... State>
void set_handlers(Server& server, const Options& options, State&... state) {
  using Handler = typename Server::RequestHandlerClass;
  if constexpr (std::is_constructible_v<Handler, State&...>) {
    if constexpr (requires(Handler& handler) { handler.wbufsize; }) {
      if (options.wbufsize > 0) {
        server.handler_factory = [size = options.wbufsize, &state...] {
          auto handler = std::make_unique<Handler>(state...);
          handler->wbufsize = size;
          return handler;
        };
        return;
      }
    }
    server.construct_handlers_with(state...);
  }
}

/// Leaves a server as it is.
struct AsItIs {
  void operator()(const auto&) const noexcept {}
};

/// The choice of a `Server`, of which `configure` sets what the command line above does not know. Its handlers are
/// constructed with `state`.
template <class Server, class Configure = AsItIs, class... State>
Choice make_choice(std::string_view scheme, std::string_view mixin, const Configure& configure = {}, State&... state) {
  return {scheme, mixin, [configure, &state...](const Options& options) {
            Server server(options.address, options.server);
            set_knobs(server, options);
            set_handlers(server, options, state...);
            configure(server);
            return sockserv::run(server, options.announcing(server));
          }};
}

/// A program that is one kind of server; its URL has the scheme of `about.listen`.
template <class Server, class... State>
int serve(int argc, char** argv, const About& about, State&... state) {
  const Choice only = make_choice<Server>(scheme_of(about.listen), "", AsItIs(), state...);
  return serve_choice(argc, argv, about, {&only, 1});
}

/// Adds a server under every mixin; see `make_choice`.
template <class Server, class Configure = AsItIs, class... State>
void add_mixins(std::string_view scheme, std::vector<Choice>& choices, const Configure& configure = {},
                State&... state) {
  using namespace sockserv;
  choices.push_back(make_choice<Server>(scheme, "none", configure, state...));
  choices.push_back(make_choice<ThreadingMixIn<Server>>(scheme, "threading", configure, state...));
  choices.push_back(make_choice<ForkingMixIn<Server>>(scheme, "forking", configure, state...));
  choices.push_back(make_choice<PreForkingMixIn<Server>>(scheme, "preforking", configure, state...));
  choices.push_back(make_choice<ThreadPoolMixIn<Server>>(scheme, "thread_pool", configure, state...));
  choices.push_back(make_choice<FiberMixIn<Server>>(scheme, "fiber", configure, state...));
  choices.push_back(make_choice<PreForkingMixIn<FiberMixIn<Server>>>(scheme, "preforking_fiber", configure, state...));
}

/// A program that serves streams of every kind, as --listen and --mixin say.
template <class Handler, class... State>
int serve_streams(int argc, char** argv, const About& about, State&... state) {
  std::vector<Choice> choices;
  add_mixins<sockserv::TCPServer<Handler>>("tcp", choices, AsItIs(), state...);
  add_mixins<sockserv::UnixStreamServer<Handler>>("unix", choices, AsItIs(), state...);
  return serve_choice(argc, argv, about, choices);
}

/// A program that is every kind of server, as --listen and --mixin say.
template <class StreamHandler, class DatagramHandler, class... State>
int serve_any(int argc, char** argv, const About& about, State&... state) {
  std::vector<Choice> choices;
  add_mixins<sockserv::TCPServer<StreamHandler>>("tcp", choices, AsItIs(), state...);
  add_mixins<sockserv::UDPServer<DatagramHandler>>("udp", choices, AsItIs(), state...);
  add_mixins<sockserv::UnixStreamServer<StreamHandler>>("unix", choices, AsItIs(), state...);
  add_mixins<sockserv::UnixDatagramServer<DatagramHandler>>("unixgram", choices, AsItIs(), state...);
  return serve_choice(argc, argv, about, choices);
}

}  // namespace example
