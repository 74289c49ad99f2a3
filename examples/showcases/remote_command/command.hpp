#pragma once

/// A command that runs, seen from the handler that has started it.

#include <sys/types.h>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <chrono>
#include <sockserv/detail/descriptor.hpp>
#include <string>
#include <string_view>

#include "remote_command/order.hpp"
#include "remote_command/protocol.hpp"

namespace remote {

using sockserv::detail::Descriptor;

/// The program that it starts is the command's keeper (keeper.cpp), which sees to the command's end.
///
/// Waiting is for four things at once: output, errors, the keeper's report, and the client, from whom nothing should
/// come any more. They are in one epoll set; that can be waited for like any other descriptor (epoll(7)), with Asio,
/// and so under every mixin. Then each is tried without waiting.
class Command {
 public:
  /// Starts it, for the client of that socket; it may take that long. To be called in a handler.
  /// @throws Failure if there can be no keeper. Whether there is a command, the result says.
  Command(const Order& order, std::chrono::seconds limit, int client);
  Command(const Command&) = delete;
  Command& operator=(const Command&) = delete;
  /// Ends it, and blocks until nothing of it is left; that takes a second, at worst.
  ~Command();

  /// Waits until there may be something new.
  /// @throws boost::system::system_error with `errc::aborted` if the server aborts the handler.
  void wait();

  /// Output that is there; empty: none. Valid until the next call.
  std::string_view read(Kind stream);
  /// True if the client has said something, or has gone.
  bool is_interrupted() const;
  /// True once nothing of the command is left. What it has written before can still be read.
  bool has_ended();
  /// How it has ended: the last message to the client.
  const Json& result() const noexcept { return result_; }

  /// Has it ended. To be called as often as one likes.
  void end() noexcept;
  /// Blocks until nothing of it is left.
  void join() noexcept;

 private:
  int client_;
  Descriptor output_;
  Descriptor errors_;
  Descriptor keeper_socket_;
  pid_t keeper_ = -1;
  Json result_;
  std::string buffer_;
  boost::asio::posix::stream_descriptor events_;
};

}  // namespace remote
