#pragma once

#include <atomic>
#include <memory>
#include <sockserv/export.hpp>

namespace sockserv::inline abi_0::detail {

class ClosedTogether;
class ServerSocket;

/// The place where a server keeps its socket. The descriptor may be read while another thread closes the socket.
///
/// @par Thread safety
/// `fileno()` is safe. The server's lifecycle decides who may call the other functions, and when.
class SOCKSERV_EXPORT Listener {
 public:
  Listener() noexcept = default;
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  void own(std::shared_ptr<ServerSocket> socket) noexcept;

  /// Returns the socket; null before there is one, and once it is closed.
  const std::shared_ptr<ServerSocket>& socket() const noexcept { return socket_; }
  /// The same.
  /// @throws std::logic_error if there is none.
  ServerSocket& open_socket() const {
    if (!socket_) throw_closed();
    return *socket_;
  }

  /// Returns the descriptor; -1 if there is none.
  int fileno() const noexcept { return descriptor_; }
  bool is_listening() const noexcept;
  /// Returns true if datagrams were received that nobody has taken: the descriptor does not show those.
  bool has_more() const noexcept;
  /// Returns how many requests may be waiting at most, `request_queue_size` being what was asked for.
  int backlog_limit(int request_queue_size) const noexcept;

  /// Removes the Unix path, and closes the socket unless datagrams still answer through it.
  void close() noexcept;

  /// In a child process that serves one request: closes the socket, unless the child answers through it.
  void become_child(ClosedTogether& unneeded) noexcept;
  /// In a worker process: leaves the Unix path to the parent.
  void become_worker() noexcept;

 private:
  [[noreturn]] static void throw_closed();

  std::shared_ptr<ServerSocket> socket_;
  std::atomic<int> descriptor_ = -1;
};

}  // namespace sockserv::inline abi_0::detail
