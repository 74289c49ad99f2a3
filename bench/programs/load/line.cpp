#include "line.hpp"

#include <sys/socket.h>

#include <algorithm>
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

Line::Line(std::size_t size) : size_(size), bytes_(3 * size, '.') {
  bytes_[size - 1] = '\n';
  write(0);
}

void Line::renew() noexcept {
  static std::uint64_t last = 0;
  number_ = ++last;
  write(number_);
  sent_ = 0;
  received_ = 0;
}

void Line::write(std::uint64_t number) noexcept {
  const std::span<char> place = std::span(bytes_).first(smallest - 1);
  std::fill(place.begin(), place.end(), '.');
  std::to_chars(place.data(), place.data() + place.size(), number, 16);
}

bool Line::send(const Socket& socket) {
  const std::string_view rest = text().substr(sent_);
  sent_ += count_of(::send(socket.fileno(), rest.data(), rest.size(), MSG_NOSIGNAL), "send");
  return sent_ == size_;
}

bool Line::receive(const Socket& socket) {
  received_ += receive_some(socket, reply().subspan(received_)).size();
  if (received_ < size_) return false;
  if (std::string_view(reply().data(), received_) != text()) throw NotTheLine();
  return true;
}

bool Line::send_datagram(const Socket& socket) const {
  return count_of(::send(socket.fileno(), bytes_.data(), size_, MSG_NOSIGNAL), "send") > 0;
}

bool Line::receive_datagram(const Socket& socket) {
  for (;;) {
    const std::size_t received = count_of(::recv(socket.fileno(), reply().data(), reply().size(), 0), "recv");
    if (received == 0) return false;
    const std::string_view datagram(reply().data(), received);
    if (datagram == text()) return true;
    if (!is_after(datagram)) throw NotTheLine();
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
