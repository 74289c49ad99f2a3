#pragma once

#include <array>
#include <cstddef>
#include <string_view>

#include "target.hpp"

namespace load {

/// A line of 64 bytes, unlike any other of this program, that is sent and must come back as it was.
class Line {
 public:
  Line();

  /// Makes it another line. To be called before each `send`, until that is true.
  void renew() noexcept;

  /// Sends it; false if the socket is not ready for that yet.
  bool send(const Socket& socket);

  /// Receives what has come; true once that is the line. To be called once for each time that the socket becomes
  /// readable.
  /// @throws std::runtime_error if it is anything else, or the stream ends.
  bool receive(const Socket& socket);

 private:
  static constexpr std::size_t size = 64;

  std::string_view text() const noexcept { return {text_.data(), size}; }

  std::array<char, size> text_;
  // Longer than the line: a receive that does not fill it has emptied the socket, and bytes too many are noticed.
  std::array<char, 2 * size> reply_;
  std::size_t received_ = 0;
};

}  // namespace load
