// A server of messages for clients that are not ours: message_echo_server PREFIX OPTION...
//
// PREFIX is a name of `sockserv::LengthPrefix`; the options are those of the example servers. Every message comes back
// as it was. The longest has a million bytes.

#include <iostream>
#include <map>
#include <sockserv.hpp>
#include <string_view>
#include <vector>

#include "support/serve.hpp"

namespace {

sockserv::FramingOptions framing_of_all{.max_message = 1'000'000};

struct Echo : sockserv::MessageRequestHandler {
  Echo() { framing = framing_of_all; }
  void handle() override {
    for (auto& message : messages) messages.send(message);
  }
};

}  // namespace

int main(int argc, char** argv) {
  const std::map<std::string_view, sockserv::LengthPrefix> prefixes{
      {"uint32_big_endian", sockserv::LengthPrefix::uint32_big_endian},
      {"int32_little_endian", sockserv::LengthPrefix::int32_little_endian},
      {"uint64_big_endian", sockserv::LengthPrefix::uint64_big_endian},
      {"multiprocessing", sockserv::LengthPrefix::multiprocessing}};
  const auto prefix = prefixes.find(argc > 1 ? argv[1] : "");
  if (prefix == prefixes.end()) {
    std::cerr << "usage: message_echo_server PREFIX OPTION..., where PREFIX is one of";
    for (const auto& [name, value] : prefixes) std::cerr << ' ' << name;
    std::cerr << '\n';
    return example::exit_usage;
  }
  framing_of_all.prefix = prefix->second;

  std::vector<example::Choice> choices;
  example::add_mixins<sockserv::TCPServer<Echo>>("tcp", choices);
  example::add_mixins<sockserv::UnixStreamServer<Echo>>("unix", choices);
  return example::serve_choice(argc - 1, argv + 1,
                               {.purpose = "Sends every message back.", .listen = "tcp://127.0.0.1:9000"}, choices);
}
