#include "line.hpp"

#include <sys/socket.h>

#include <cerrno>
#include <charconv>
#include <cstdint>
#include <stdexcept>
#include <system_error>

namespace load {
namespace {

/// The result of send() or recv(), 0 if it would have to wait.
std::size_t count_of(ssize_t result, const char* what) {
  if (result >= 0) return static_cast<std::size_t>(result);
  if (errno == EAGAIN) return 0;
  throw std::system_error(errno, std::system_category(), what);
}

}  // namespace

Line::Line() {
  text_.fill('.');
  text_.back() = '\n';
}

void Line::renew() noexcept {
  static std::uint64_t number = 0;
  std::to_chars(text_.data(), text_.data() + size - 1, ++number, 16);
  received_ = 0;
}

bool Line::send(const Socket& socket) {
  const std::size_t sent = count_of(::send(socket.fileno(), text_.data(), size, MSG_NOSIGNAL), "send");
  if (sent != 0 && sent != size) throw std::runtime_error("send: a part of a line");  // a socket has room for a line
  return sent == size;
}

bool Line::receive(const Socket& socket) {
  const ssize_t result = ::recv(socket.fileno(), reply_.data() + received_, reply_.size() - received_, 0);
  if (result == 0) throw std::runtime_error("the server has closed the connection");
  received_ += count_of(result, "recv");
  if (received_ < size) return false;
  if (std::string_view(reply_.data(), received_) != text()) throw std::runtime_error("the reply is not what was sent");
  return true;
}

}  // namespace load
