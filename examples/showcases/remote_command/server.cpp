// Runs commands for clients that know the key, and sends them the output while it comes.
//
//     (umask 077 && head -c 32 /dev/urandom > /tmp/key)
//     10_command_server --key-file /tmp/key     and     10_command_client --key-file /tmp/key -- ls -l /
//
// Watch a command that does not end, such as sleep 1000, with ps --forest: the server, its keeper (keeper.cpp), the
// command. Stop the client by Ctrl-C, or the server by kill -9: the command is gone as well. Try yes: the server stops
// it at --output-limit, and sleep 1000 at --time-limit.
//
// Whoever has the key can do what the user can who runs this server. Limits are for accidents, not against malice.

#include <sys/socket.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <optional>
#include <sockserv.hpp>
#include <sockserv/layer/hmac_auth.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "remote_command/command.hpp"
#include "remote_command/order.hpp"
#include "remote_command/protocol.hpp"
#include "support/secret_key.hpp"
#include "support/serve.hpp"

namespace remote {
namespace {

/// What the server's command line says.
struct Limits {
  int time = 60;                               // seconds
  std::size_t output = std::size_t{64} << 20;  // bytes, of both streams together
  bool shell = false;
};

/// For the server, which says so in its log.
sockserv::peer_gone_error gone(const char* why) { return {sockserv::errc::end_of_stream, why}; }

constexpr const char* not_wanted = "the client does not want the command any more";

// snippet: handler
struct Remote : sockserv::MessageRequestHandler {
  const Limits& limits;
  std::optional<Command> command;

  explicit Remote(const Limits& given) : limits(given) {
    framing = remote::framing;
    timeout = patience;
    disable_nagle_algorithm = true;
  }

  void handle() override {
    const auto message = messages.receive();
    if (!message) return;
    // What came right behind the order lies in rfile, where nobody who asks the socket would find it.
    if (!rfile.peek(0).empty()) throw gone(not_wanted);
    try {
      command.emplace(order_of(*message, limits.shell), std::chrono::seconds(limits.time), request.fileno());
    } catch (const Failure& failure) {
      return send(messages, Kind::result, text({{"error", failure.what()}}));
    }
    try {
      pass_on_output();
    } catch (const sockserv::timeout_error&) {
      request.shutdown(SHUT_RDWR);  // or the end of the handler would try once more to send the rest
      throw gone("the client does not take the output");
    }
  }

  /// Called however `handle` ended, also if the server aborted it.
  void finish() override {
    if (command) {
      command->end();
      sockserv::this_request::offload([&] { command->join(); });
    }
    MessageRequestHandler::finish();
  }

 private:
  void pass_on_output() {
    std::size_t room = limits.output;
    bool too_much = false;
    for (bool ended = false; !ended;) {
      command->wait();
      if (command->is_interrupted()) throw gone(not_wanted);
      ended = command->has_ended();  // before the output is read: what is there then is all
      for (const Kind stream : {Kind::standard_output, Kind::standard_error}) {
        std::string_view piece = command->read(stream);
        for (; !piece.empty(); piece = ended ? command->read(stream) : "") {
          if (piece.size() > room) {
            too_much = true;
            command->end();
          }
          if (room > 0) send(messages, stream, piece.substr(0, room));
          room -= std::min(room, piece.size());
        }
      }
    }
    Json result = command->result();
    if (too_much) result["limit"] = "output";
    send(messages, Kind::result, text(result));
  }
};
// snippet end

}  // namespace
}  // namespace remote

int main(int argc, char** argv) {
  sockserv::Authentication authentication;
  remote::Limits limits;
  const auto declare = [&](CLI::App& app) {
    example::declare_key_option(app, authentication.key);
    app.add_flag("--shell", limits.shell, "Also run what clients want a shell to run");
    app.add_option("--time-limit", limits.time, "How long a command may take")
        ->type_name("SECONDS")
        ->check(CLI::Range(1, 1'000'000))
        ->capture_default_str();
    app.add_option("--output-limit", limits.output, "How much a command may print")
        ->type_name("BYTES")
        ->check(CLI::Range(std::size_t{1}, std::size_t{1} << 40))
        ->capture_default_str();
  };
  const auto require_key = [&](auto& server) { server.authentication = authentication; };
  using TCPServer = sockserv::TCPServer<remote::Remote>;
  using UnixServer = sockserv::UnixStreamServer<remote::Remote>;
  std::vector<example::Choice> choices;
  example::add_mixins<sockserv::HmacAuthMixIn<TCPServer>>("tcp", choices, require_key, limits);
  example::add_mixins<sockserv::HmacAuthMixIn<UnixServer>>("unix", choices, require_key, limits);
  return example::serve_choice(argc, argv,
                               {.purpose = "Runs commands for clients that know the key.",
                                .listen = "tcp://127.0.0.1:9000",
                                .declare_options = declare},
                               choices);
}
