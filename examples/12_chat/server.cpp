// A chat with rooms: a line goes to everybody who is in the same room.
//
//     12_chat_server     and, several times,     12_chat_client     or     nc 127.0.0.1 9000
//
// Commands are /nick NAME, /join ROOM, /who and /quit. Stop one client (Ctrl-Z) and let another send a large text:
// watch how the first is dropped when its queue is full, while the others go on. With --mixin fiber it is the same.
//
// How handlers that wait for their own clients can send to others is in chat.hpp.

#include <sys/socket.h>

#include <array>
#include <chrono>
#include <sockserv.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "12_chat/chat.hpp"
#include "support/serve.hpp"

namespace chat {
namespace {

// snippet: handler
struct Conversation : sockserv::StreamRequestHandler {
  Chat& chat;
  Member member{request};
  std::string farewell;

  explicit Conversation(Chat& joined) : chat(joined) { disable_nagle_algorithm = true; }

  void setup() override {
    StreamRequestHandler::setup();
    const int size = queue_limit;  // without this option the socket has a larger buffer
    ::setsockopt(request.fileno(), SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    chat.join(member);
  }

  void handle() override {
    try {
      while (const auto line = rfile.readline(longest_line)) {
        if (!chat.handle_command(member, *line)) return;
      }
    } catch (const boost::system::system_error& error) {
      if (error.code() != sockserv::errc::line_too_long) throw;
      farewell = "* a line has no more than " + std::to_string(longest_line) + " bytes\n";
    }
  }

  /// Also if `handle` has thrown, because the client has gone.
  void finish() override {
    const std::string rest = chat.leave(member) + farewell;
    sockserv::error_code ignored;  // whoever does not take it has gone, or is as slow as before
    request.settimeout(std::chrono::seconds(5), ignored);
    request.sendall(rest, ignored);
  }
};
// snippet end

/// A server that is a chat. The chat is its first base, and so outlives what serves its members.
template <class Server>
class ChatServer final : public Chat, public Server {
 public:
  ChatServer(const sockserv::Address& address, sockserv::ServerOptions options) : Server(address, std::move(options)) {
    this->construct_handlers_with(*this);
  }
  ~ChatServer() override { Server::server_close(); }

  void serving_loop_ended() override {
    Server::serving_loop_ended();
    Chat::close();  // members would stay indefinitely
  }
};

}  // namespace
}  // namespace chat

int main(int argc, char** argv) {
  using Server = sockserv::TCPServer<chat::Conversation>;
  using Threads = chat::ChatServer<sockserv::ThreadingMixIn<Server>>;
  using Fibers = chat::ChatServer<sockserv::FiberMixIn<Server>>;
  const std::array<example::Choice, 2> choices{
      {example::make_choice<Threads>("tcp", "threading"), example::make_choice<Fibers>("tcp", "fiber")}};
  return example::serve_choice(argc, argv, {.purpose = "A chat with rooms.", .listen = "tcp://127.0.0.1:9000"},
                               choices);
}
