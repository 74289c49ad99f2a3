#include "reply.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <iterator>
#include <utility>

#include "resp.hpp"

namespace kv {
namespace {

/// No more bytes than this are kept room for: a client that is idle should take little memory.
constexpr std::size_t kept_bytes = 1024;
/// A piece that has become longer is ended, so that no more bytes than that move as replies grow.
constexpr std::size_t long_piece = 65536;

}  // namespace

void Reply::error(std::string_view text) {
  const std::size_t begin = tail_.size();
  line('-', text);
  const auto broken = [](char c) { return c == '\r' || c == '\n'; };
  std::replace_if(tail_.begin() + static_cast<std::ptrdiff_t>(begin),
                  tail_.end() - static_cast<std::ptrdiff_t>(line_break.size()), broken, ' ');
}

void Reply::bulk(std::string_view bytes) {
  number('$', static_cast<std::int64_t>(bytes.size()));
  tail_ += bytes;
  tail_ += line_break;
  if (tail_.size() >= long_piece) end_piece(nullptr);
}

void Reply::bulk(const Value& value) {
  SharedBytes shared = value.shared();
  if (!shared) return bulk(value.bytes());
  number('$', static_cast<std::int64_t>(shared->size()));
  end_piece(std::move(shared));
  tail_ += line_break;
}

void Reply::append(Reply&& other) {
  if (other.pieces_.empty()) {
    tail_ += other.tail_;
    return;
  }
  end_piece(nullptr);
  size_of_pieces_ += std::exchange(other.size_of_pieces_, 0);
  pieces_.splice(pieces_.end(), other.pieces_);
  tail_ = std::move(other.tail_);
}

void Reply::cut(const End& end) noexcept {
  if (pieces_.size() > end.pieces) {
    const auto first = std::next(pieces_.begin(), static_cast<std::ptrdiff_t>(end.pieces));
    tail_ = std::move(first->text);
    pieces_.erase(first, pieces_.end());
    size_of_pieces_ = end.size_of_pieces;
  }
  tail_.resize(end.tail);
}

Reply::Buffers Reply::buffers() const {
  Buffers found;
  std::size_t sent = sent_;
  const auto add = [&](std::string_view bytes) {
    const std::size_t skipped = std::min(sent, bytes.size());
    sent -= skipped;
    if (skipped < bytes.size()) found.push_back(boost::asio::buffer(bytes.substr(skipped)));
  };
  for (const Piece& piece : pieces_) {
    if (found.size() + 2 > most_buffers) return found;
    add(piece.text);
    if (piece.value) add(*piece.value);
  }
  if (found.size() < most_buffers) add(tail_);
  return found;
}

void Reply::remove_prefix(std::size_t count) noexcept {
  if (count >= size()) return clear();
  sent_ += count;
  while (!pieces_.empty() && sent_ >= pieces_.front().size()) {
    sent_ -= pieces_.front().size();
    size_of_pieces_ -= pieces_.front().size();
    pieces_.pop_front();
  }
}

void Reply::clear() noexcept {
  pieces_.clear();
  size_of_pieces_ = sent_ = 0;
  if (tail_.capacity() > kept_bytes) {
    tail_ = std::string();
  } else {
    tail_.clear();
  }
}

void Reply::line(char type, std::string_view text) {
  tail_ += type;
  tail_ += text;
  tail_ += line_break;
}

void Reply::number(char type, std::int64_t value) {
  std::array<char, 24> text;
  text[0] = type;
  char* end = std::to_chars(text.data() + 1, text.data() + text.size(), value).ptr;
  *end++ = '\r';
  *end++ = '\n';
  tail_.append(text.data(), end);
}

/// Makes the tail a piece, with what follows it.
void Reply::end_piece(SharedBytes value) {
  const std::size_t size = tail_.size() + (value ? value->size() : 0);
  pieces_.push_back({std::move(tail_), std::move(value)});
  size_of_pieces_ += size;
  tail_.clear();
}

}  // namespace kv
