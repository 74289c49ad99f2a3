#pragma once

#include <boost/asio/buffer.hpp>
#include <boost/container/small_vector.hpp>
#include <cstddef>
#include <cstdint>
#include <list>
#include <string>
#include <string_view>

#include "value.hpp"

namespace kv {

/// Replies of RESP2, one behind the other, until they are sent. The bytes of large values are not copied.
///
/// @par Thread safety
/// Distinct objects: safe. Shared objects: unsafe.
class Reply {
 public:
  /// What one system call takes.
  static constexpr std::size_t most_buffers = 16;
  using Buffers = boost::container::small_vector<boost::asio::const_buffer, most_buffers>;

  /// +OK
  void status(std::string_view text) { line('+', text); }
  /// -ERR …, of one line: what breaks it becomes a space. `text` begins with the kind of error.
  void error(std::string_view text);
  /// :1
  void integer(std::int64_t value) { number(':', value); }
  /// A string of any bytes, with its length in front.
  void bulk(std::string_view bytes);
  void bulk(const Value& value);
  /// No string.
  void null() { tail_ += "$-1\r\n"; }
  /// An array, whose elements are the replies that follow.
  void array(std::size_t size) { number('*', static_cast<std::int64_t>(size)); }
  /// Other replies, of which nothing has been sent.
  void append(Reply&& other);

  /// Where the replies end now.
  struct End {
    std::size_t pieces;
    std::size_t size_of_pieces;
    std::size_t tail;
  };
  End end() const noexcept { return {pieces_.size(), size_of_pieces_, tail_.size()}; }
  /// Takes off what has been put together since then, when nothing has been sent since.
  void cut(const End& end) noexcept;

  bool empty() const noexcept { return size() == 0; }
  /// How many bytes have not been sent.
  std::size_t size() const noexcept { return size_of_pieces_ + tail_.size() - sent_; }
  /// These bytes, as far as one call sends them.
  Buffers buffers() const;
  /// The first `count` bytes have been sent.
  void remove_prefix(std::size_t count) noexcept;
  /// Forgets everything, and gives back what large replies have taken.
  void clear() noexcept;

 private:
  struct Piece {
    std::string text;
    SharedBytes value;  // which follows the text; null: nothing does

    std::size_t size() const noexcept { return text.size() + (value ? value->size() : 0); }
  };

  void line(char type, std::string_view text);
  void number(char type, std::int64_t value);
  void end_piece(SharedBytes value);

  // The bytes of all pieces and of the tail, but for those at the beginning that have been sent.
  std::list<Piece> pieces_;
  std::size_t size_of_pieces_ = 0;
  std::string tail_;
  std::size_t sent_ = 0;
};

}  // namespace kv
