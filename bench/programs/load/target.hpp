#pragma once

#include <sys/socket.h>
#include <unistd.h>

#include <cstddef>
#include <string_view>
#include <utility>

namespace load {

/// Owns a socket.
class Socket {
 public:
  Socket() noexcept = default;
  explicit Socket(int descriptor) noexcept : descriptor_(descriptor) {}
  Socket(Socket&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  Socket& operator=(Socket&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }
  ~Socket() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  int fileno() const noexcept { return descriptor_; }

 private:
  int descriptor_ = -1;
};

/// The server under load. It must be on this machine: this program is not for use against others.
class Target {
 public:
  /// `tcp://127.0.0.1:9000`, `udp://[::1]:9000`, `unix:///run/x.sock`, `unixgram:///run/y.sock` (a path that begins
  /// with @ is a name in the abstract namespace).
  /// @throws std::invalid_argument for anything else.
  explicit Target(std::string_view url);

  bool is_stream() const noexcept { return type_ == SOCK_STREAM; }

  /// True if connections come from several addresses in turn.
  bool has_sources() const noexcept { return is_stream() && address_.ss_family == AF_INET; }
  /// Leaves that many addresses to other processes. Needs `has_sources()`.
  void skip_sources(unsigned count) noexcept { skipped_sources_ = count; }

  /// A new socket that does not block, and is connected or about to be.
  /// @throws std::system_error
  Socket connect();

 private:
  void parse_ip(std::string_view host_and_port);
  void parse_unix(std::string_view path);
  void choose_source(int socket);

  int type_ = 0;
  sockaddr_storage address_{};
  socklen_t length_ = 0;
  unsigned skipped_sources_ = 0;
  unsigned next_source_ = 0;
};

}  // namespace load
