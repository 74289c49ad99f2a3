#include <sockserv/detail/listener.hpp>

#include <sys/socket.h>

#include <algorithm>
#include <sockserv/detail/server_socket.hpp>
#include <stdexcept>
#include <utility>

#include "../base/closed_together.hpp"

namespace sockserv::inline abi_0::detail {

void Listener::own(std::shared_ptr<ServerSocket> socket) noexcept {
  descriptor_ = socket ? socket->fileno() : -1;
  socket_ = std::move(socket);
}

void Listener::throw_closed() { throw std::logic_error("the server is closed"); }

bool Listener::is_listening() const noexcept { return socket_ && socket_->is_listening(); }

bool Listener::has_more() const noexcept { return socket_ && socket_->has_more(); }

int Listener::backlog_limit(int request_queue_size) const noexcept {
  // Datagrams wait in a buffer that is measured in bytes; no more of them than this fit into any.
  constexpr int most_datagrams = 65536;
  return socket_ && socket_->is_stream() ? std::min(request_queue_size, SOMAXCONN) + 1 : most_datagrams;
}

void Listener::close() noexcept {
  if (socket_) socket_->unlink_path();
  own(nullptr);
}

void Listener::become_child(ClosedTogether& unneeded) noexcept {
  // Not freed: the child would have to copy the memory first, and it is about to exit.
  if (socket_ && socket_->is_stream()) unneeded.add(socket_->release());
  descriptor_ = -1;
}

void Listener::become_worker() noexcept {
  if (socket_) socket_->keep_path();
}

}  // namespace sockserv::inline abi_0::detail
