#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string_view>

#include "target.hpp"

namespace load {

struct NotTheLine : std::runtime_error {
  NotTheLine() : std::runtime_error("the reply is not what was sent") {}
};

/// A line of 64 bytes, unlike any other of this program, that is sent and must come back as it was.
class Line {
 public:
  static constexpr std::size_t size = 64;

  Line();

  /// Makes it another line. To be called before each `send`, until that is true.
  void renew() noexcept;

  std::string_view text() const noexcept { return {text_.data(), size}; }

  /// Sends it; false if the socket is not ready for that yet.
  bool send(const Socket& socket) const;

  /// Receives what has come on a stream; true once that is the line. To be called once for each time that the socket
  /// becomes readable.
  /// @throws NotTheLine if it is anything else, and another exception if the stream ends.
  bool receive(const Socket& socket);

  /// The same for a datagram, but an earlier line of this program's, which has been sent twice, may come first.
  bool receive_datagram(const Socket& socket);

 private:
  void write(std::uint64_t number) noexcept;
  bool is_after(std::string_view other) const noexcept;

  std::uint64_t number_ = 0;
  std::array<char, size> text_;
  // Longer than the line: a receive that does not fill it has emptied the stream, and bytes too many are noticed.
  std::array<char, 2 * size> reply_;
  std::size_t received_ = 0;
};

/// The result of send() or recv(), 0 if it would have to wait.
/// @throws std::system_error
std::size_t count_of(ssize_t result, const char* what);

/// The bytes that have come on a stream and fit into the buffer, which may be none yet.
/// @throws std::runtime_error if the stream has ended.
std::string_view receive_some(const Socket& socket, std::span<char> buffer);

}  // namespace load
