#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string_view>
#include <vector>

#include "target.hpp"

namespace load {

struct NotTheLine : std::runtime_error {
  NotTheLine() : std::runtime_error("the reply is not what was sent") {}
};

/// A line unlike any other of this program that is sent and must come back as it was.
class Line {
 public:
  /// The least number of bytes of a line, its newline included.
  static constexpr std::size_t smallest = 16;

  explicit Line(std::size_t size);

  /// Makes it another line, none of which has been sent or received.
  void renew() noexcept;

  std::size_t size() const noexcept { return size_; }
  std::string_view text() const noexcept { return {bytes_.data(), size_}; }

  /// Sends what has not been sent of it; false if the socket is not ready for all of that yet.
  bool send(const Socket& socket);

  /// Receives what has come on a stream; true once that is the line. To be called once for each time that the socket
  /// becomes readable.
  /// @throws NotTheLine if it is anything else, and another exception if the stream ends.
  bool receive(const Socket& socket);

  /// Sends it as a datagram, perhaps once more; false if the socket is not ready for that yet.
  bool send_datagram(const Socket& socket) const;

  /// `receive` for a datagram, but an earlier line of this program's, which has been sent twice, may come first.
  bool receive_datagram(const Socket& socket);

 private:
  std::span<char> reply() noexcept { return std::span(bytes_).subspan(size_); }
  void write(std::uint64_t number) noexcept;
  bool is_after(std::string_view other) const noexcept;

  std::size_t size_;
  // The line, and room for its reply, which is longer: a receive that does not fill it has emptied the stream, and
  // bytes too many are noticed.
  std::vector<char> bytes_;
  std::uint64_t number_ = 0;
  std::size_t sent_ = 0;
  std::size_t received_ = 0;
};

/// The result of send() or recv(), 0 if it would have to wait.
/// @throws std::system_error
std::size_t count_of(ssize_t result, const char* what);

/// The bytes that have come on a stream and fit into the buffer, which may be none yet.
/// @throws std::runtime_error if the stream has ended.
std::string_view receive_some(const Socket& socket, std::span<char> buffer);

}  // namespace load
