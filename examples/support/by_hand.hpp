#pragma once

/// What the examples that come before the library share, so that each of them shows only what it is about.
///
/// In these programs an error ends the program, and the system then closes its sockets; that keeps them short. The one
/// signal handler that they have never returns, so no call of theirs is interrupted (EINTR) by it. A call with a time
/// limit can still be interrupted when the program is stopped (Ctrl-Z) and continued, see signal(7); where there is
/// one, it is repeated.

#include <netinet/in.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace by_hand {

/// Ends the program with exit code 1, saying which call failed, on what, and why (errno).
[[noreturn]] void fail(std::string_view call, std::string_view object = {});

/// What a system call returned, unless that says that the call failed.
template <class Result>
Result check(Result result, std::string_view call, std::string_view object = {}) {
  if (result == -1) fail(call, object);
  return result;
}

/// Ends the program with exit code 2, or with 0 if it was only asked for --help, saying what arguments it takes.
[[noreturn]] void exit_usage(int argc, char** argv, std::string_view arguments);
/// Who is asked for a port: to a server, 0 means that the system chooses one; to a client it means nothing.
enum class End { server, client };
/// The port number that an argument is, or nothing.
std::optional<std::uint16_t> port_number(std::string_view argument, End end);
/// The port of a program that is called as PROGRAM [PORT]; 9000 if there is none.
std::uint16_t port_argument(int argc, char** argv, End end);

/// From now on SIGINT (Ctrl-C) and SIGTERM end the program with exit code 0. If there is a path, of a Unix socket, it
/// is removed then. To be called once.
void end_on_signals(std::string_view path = {});

/// The address 127.0.0.1:PORT.
sockaddr_in loopback(std::uint16_t port);
/// "127.0.0.1:9000"
std::string to_string(const sockaddr_in& address);
/// Where a socket is bound.
sockaddr_in local_address(int socket);

/// Prints the one line that says where a server listens; the scheme is tcp or udp.
void announce(std::string_view scheme, int socket);

/// A socket that listens on 127.0.0.1, made as in 01_tcp_by_hand.
int listen_on(std::uint16_t port);
/// A connection to a server on 127.0.0.1, made as in 01_tcp_by_hand.
int connect_to(std::uint16_t port);

/// The next client of a listening socket. Nothing if that client has gone already, or if the socket does not wait
/// (SOCK_NONBLOCK) and there is none. `flags` are those of accept4(2).
std::optional<int> accept_from(int listener, int flags = 0);

/// Sends all the bytes, in as many calls as that takes. False if the peer has gone.
bool send_all(int socket, std::string_view bytes);

}  // namespace by_hand
