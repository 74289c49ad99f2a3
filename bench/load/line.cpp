#include "line.hpp"

#include <sys/socket.h>

#include <cerrno>
#include <charconv>
#include <stdexcept>
#include <system_error>

namespace load {
std::size_t count_of(ssize_t result, const char* what) {
  if (result >= 0) return static_cast<std::size_t>(result);
  if (errno == EAGAIN) return 0;
  throw std::system_error(errno, std::system_category(), what);
}

std::string_view receive_some(const Socket& socket, std::span<char> buffer) {
  const ssize_t result = ::recv(socket.fileno(), buffer.data(), buffer.size(), 0);
  if (result == 0) throw std::runtime_error("the server has closed the connection");
  return {buffer.data(), count_of(result, "recv")};
}

Line::Line() { write(0); }

void Line::renew() noexcept {
  static std::uint64_t last = 0;
  number_ = ++last;
  write(number_);
  received_ = 0;
}

void Line::write(std::uint64_t number) noexcept {
  text_.fill('.');
  text_.back() = '\n';
  std::to_chars(text_.data(), text_.data() + size - 1, number, 16);
}

bool Line::send(const Socket& socket) const {
  const std::size_t sent = count_of(::send(socket.fileno(), text_.data(), size, MSG_NOSIGNAL), "send");
  if (sent != 0 && sent != size) throw std::runtime_error("send: a part of a line");  // a socket has room for a line
  return sent == size;
}

bool Line::receive(const Socket& socket) {
  received_ += receive_some(socket, std::span(reply_).subspan(received_)).size();
  if (received_ < size) return false;
  if (std::string_view(reply_.data(), received_) != text()) throw NotTheLine();
  return true;
}

bool Line::receive_datagram(const Socket& socket) {
  for (;;) {
    const std::size_t received = count_of(::recv(socket.fileno(), reply_.data(), reply_.size(), 0), "recv");
    if (received == 0) return false;
    const std::string_view reply(reply_.data(), received);
    if (reply == text()) return true;
    if (!is_after(reply)) throw NotTheLine();
  }
}

/// True if the other one was such a line, made before this one.
bool Line::is_after(std::string_view other) const noexcept {
  std::uint64_t number = 0;
  std::from_chars(other.data(), other.data() + other.size(), number, 16);
  Line same = *this;
  same.write(number);
  return number < number_ && other == same.text();
}

}  // namespace load
