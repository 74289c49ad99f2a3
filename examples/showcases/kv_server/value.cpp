#include "value.hpp"

#include <utility>

namespace kv {
namespace {

/// Without keeping much more memory than it takes.
void assign(std::string& text, std::string_view bytes) {
  if (text.capacity() > 2 * bytes.size() + 64) {
    text = std::string(bytes);
  } else {
    text.assign(bytes);
  }
}

}  // namespace

void Value::set(std::string_view bytes, SharedBytes& shared) {
  std::string* const in_place = std::get_if<std::string>(&bytes_);
  if (in_place && !shared) return assign(*in_place, bytes);
  SharedBytes before = this->shared();
  if (shared) {
    bytes_ = std::move(shared);
  } else {
    bytes_ = std::string(bytes);
  }
  shared = std::move(before);
}

}  // namespace kv
