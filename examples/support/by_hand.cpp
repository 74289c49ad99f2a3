#include "by_hand.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <sockserv/log.hpp>
#include <streambuf>
#include <utility>

namespace by_hand {
namespace {

std::array<char, sizeof(sockaddr_un::sun_path) + 1> path_to_remove;

/// Opens the standard descriptors that the program was started without. Otherwise a socket would get such a number, and
/// what the program prints would go into it.
void fill_standard_descriptors() {
  for (int number = 0; number <= 2; ++number) {
    if (::fcntl(number, F_GETFD) == -1) static_cast<void>(::open("/dev/null", O_RDWR));  // gets the lowest free number
  }
}

/// Writes whole lines to standard error. If nobody reads them, they are lost, and the program goes on.
class Lines final : public std::streambuf {
 protected:
  int overflow(int character) override {
    line_ += static_cast<char>(character);
    if (character == '\n') writer_.write({std::exchange(line_, {})});
    return character;
  }

 private:
  const sockserv::LineWriter writer_{STDERR_FILENO};
  std::string line_;
};

/// What holds for all programs by hand, before their main() begins.
[[maybe_unused]] const bool prepared = [] {
  fill_standard_descriptors();
  for (std::ostream* const stream : {&std::cerr, &std::clog}) stream->rdbuf(new Lines);  // streams are never destroyed
  return true;
}();

// It calls nothing but what is allowed in a signal handler, see signal-safety(7).
void end(int) {
  if (path_to_remove[0] != '\0') ::unlink(path_to_remove.data());
  ::_exit(0);
}

}  // namespace

void fail(std::string_view call, std::string_view object) {
  const int error = errno;
  std::cerr << ::program_invocation_short_name << ": " << call << (object.empty() ? "" : " ") << object << ": "
            << std::strerror(error) << '\n';
  std::exit(1);
}

void exit_usage(int argc, char** argv, std::string_view arguments) {
  const bool asked = argc == 2 && std::string_view(argv[1]) == "--help";
  (asked ? std::cout : std::cerr) << "usage: " << ::program_invocation_short_name << ' ' << arguments << std::endl;
  std::exit(asked ? 0 : 2);
}

std::optional<std::uint16_t> port_number(std::string_view argument, End end) {
  std::uint16_t port = 0;
  const char* const last = argument.data() + argument.size();
  const auto result = std::from_chars(argument.data(), last, port);
  if (result.ec != std::errc() || result.ptr != last || (end == End::client && port == 0)) return {};
  return port;
}

std::uint16_t port_argument(int argc, char** argv, End end) {
  const auto port = argc == 1 ? 9000 : port_number(argv[1], end);
  if (argc > 2 || !port) exit_usage(argc, argv, "[PORT]");
  return *port;
}

void end_on_signals(std::string_view path) {
  path.copy(path_to_remove.data(), path_to_remove.size() - 1);
  struct sigaction action{};
  action.sa_handler = end;
  sigset_t handled;
  sigemptyset(&handled);
  for (const int signal : {SIGINT, SIGTERM}) {
    struct sigaction before{};
    check(::sigaction(signal, nullptr, &before), "sigaction");
    if (signal == SIGINT && before.sa_handler == SIG_IGN) continue;  // a shell runs it in the background
    check(::sigaction(signal, &action, nullptr), "sigaction");
    sigaddset(&handled, signal);
  }
  check(::sigprocmask(SIG_UNBLOCK, &handled, nullptr), "sigprocmask");  // they may have been blocked at the start
}

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

std::string to_string(const sockaddr_in& address) {
  std::array<char, INET_ADDRSTRLEN> host{};
  ::inet_ntop(AF_INET, &address.sin_addr, host.data(), host.size());
  return std::string(host.data()) + ":" + std::to_string(ntohs(address.sin_port));
}

sockaddr_in local_address(int socket) {
  sockaddr_in address{};
  socklen_t length = sizeof address;
  check(::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &length), "getsockname");
  return address;
}

void announce(std::string_view scheme, int socket) {
  std::cout << "listening on " << scheme << "://" << to_string(local_address(socket)) << std::endl;
}

int listen_on(std::uint16_t port) {
  const sockaddr_in address = loopback(port);
  const std::string name = to_string(address);
  const int listener = check(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
  const int on = 1;
  check(::setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), "setsockopt SO_REUSEADDR");
  check(::bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof address), "bind", name);
  check(::listen(listener, SOMAXCONN), "listen", name);
  return listener;
}

int connect_to(std::uint16_t port) {
  const sockaddr_in address = loopback(port);
  const std::string name = to_string(address);
  const int socket = check(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
  check(::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address), "connect", name);
  return socket;
}

std::optional<int> accept_from(int listener, int flags) {
  const int client = ::accept4(listener, nullptr, nullptr, flags | SOCK_CLOEXEC);
  if (client != -1) return client;
  // The latter two are the misfortune of one client. All others end the program, also those that pass, such as too many
  // open files: sockserv waits for a moment then.
  if (errno == EAGAIN || errno == ECONNABORTED || errno == EPROTO) return {};
  fail("accept");
}

// snippet: send all
bool send_all(int socket, std::string_view bytes) {
  while (!bytes.empty()) {
    // Without MSG_NOSIGNAL, sending to a peer that has gone would end the program by SIGPIPE.
    const ssize_t sent = ::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent == -1) return false;
    bytes.remove_prefix(static_cast<std::size_t>(sent));  // perhaps not all of it: as much as the system had room for
  }
  return true;
}
// snippet end

}  // namespace by_hand
