#pragma once

/// One cell of the matrix: a server of some family, run by some mixin, whose handler does what its client says, and
/// clients of that family. The cases talk to any cell in the same words.

#include <atomic>
#include <functional>
#include <memory>
#include <sockserv.hpp>
#include <string>

#include "support/support.hpp"

namespace matrix {

/// What happened, in whichever process it did.
struct Events {
  std::atomic<int> standard_errors = 0;
  std::atomic<int> other_errors = 0;
  std::atomic<int> peers_gone = 0;
  std::atomic<std::size_t> workers_started = 0;
};

const support::Shared<Events>& events();

/// Lets datagram handlers that hang go on: there is no connection by which a server could wake them.
void release_hanging_handler();

/// A client that sends commands and hears answers, as lines or as datagrams.
///
/// The commands: "echo TEXT" is answered by the same; "throw" and "throw int" make the handler throw; "hang" is
/// answered at once and then keeps the handler until the next line comes or the request is cut off.
class Client {
 public:
  virtual ~Client() = default;
  virtual void say(std::string_view command) = 0;
  virtual std::string hear() = 0;
  /// Says that there is no more to come.
  virtual void end_of_commands() = 0;
  /// Goes away without a word.
  virtual void vanish() = 0;
  /// Sends part of a command; nothing as datagrams, which come whole or not at all.
  virtual void say_half() = 0;
  /// Makes a hanging handler of this client go on.
  virtual void release() = 0;
  /// Waits for the server to end the conversation; at once for datagrams, which have none.
  virtual void expect_end() = 0;
};

std::unique_ptr<Client> stream_client(const sockserv::Address& server);
std::unique_ptr<Client> datagram_client(const sockserv::Address& server);

struct StreamActor : sockserv::StreamRequestHandler {
  void handle() override;
};
struct DatagramActor : sockserv::DatagramRequestHandler {
  void handle() override;
};

void count_error(const std::exception_ptr& error);

/// Counts errors where the test sees them.
template <class Base>
struct Counting : Base {
  explicit Counting(const sockserv::Address& address) : Base(address, support::quiet()) {}
  ~Counting() override { this->server_close(); }
  void handle_error(const sockserv::Address&, std::exception_ptr error) override { count_error(error); }
};

/// The same for a server that forks workers.
template <class Base>
struct CountingWorkers : Counting<Base> {
  using Counting<Base>::Counting;
  ~CountingWorkers() override { this->server_close(); }
  void worker_started() override { ++events()->workers_started; }
};

/// A server in the background, as the cases see it.
struct Scene {
  std::unique_ptr<support::TemporaryFolder> folder;
  std::unique_ptr<sockserv::AbstractServer> server;
  std::unique_ptr<sockserv::ServerThread> background;
  bool streams = true;
  bool concurrent = true;  // serves several requests at a time
  bool processes = false;  // … in processes
  bool is_ip = true;

  std::unique_ptr<Client> connect() const {
    return streams ? stream_client(server->server_address()) : datagram_client(server->server_address());
  }
};

}  // namespace matrix
