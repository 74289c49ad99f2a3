#include <sockserv/detail/text.hpp>

#include <array>
#include <boost/core/demangle.hpp>

namespace sockserv::inline abi_0::detail {
namespace {

unsigned byte_at(std::string_view text, std::size_t index) noexcept { return static_cast<unsigned char>(text[index]); }

/// How many bytes a UTF-8 character has that begins with this byte; 0 if none does.
std::size_t length_after(unsigned first) noexcept {
  if (first < 0x80) return 1;
  if (first < 0xc2 || first > 0xf4) return 0;
  return first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

bool is_control(std::string_view character) noexcept {
  const unsigned first = byte_at(character, 0);
  if (character.size() == 1) return first < ' ' || (first >= 0x7f && first <= 0x9f);
  return first == 0xc2 && byte_at(character, 1) <= 0x9f;
}

}  // namespace

std::size_t utf8_length(std::string_view text) noexcept {
  if (text.empty()) return 0;
  const unsigned first = byte_at(text, 0);
  const std::size_t length = length_after(first);
  if (length < 2) return length;
  if (text.size() < length) return 0;
  unsigned code = first & (0x7fU >> length);
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte_at(text, i) & 0xc0U) != 0x80) return 0;
    code = code << 6U | (byte_at(text, i) & 0x3fU);
  }
  constexpr std::array<unsigned, 5> least{0, 0, 0x80, 0x800, 0x10000};  // below it, fewer bytes would do
  const bool is_surrogate = code >= 0xd800 && code <= 0xdfff;
  return code >= least[length] && code <= 0x10ffff && !is_surrogate ? length : 0;
}

bool is_utf8(std::string_view text) noexcept {
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

std::string printable(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    const std::string_view character = text.substr(0, length == 0 ? 1 : length);
    if (is_control(character)) {
      result += '?';
    } else {
      result += character;
    }
    text.remove_prefix(character.size());
  }
  return result;
}

std::string type_name(const std::type_info& type) {
  constexpr std::string_view unwritten = "sockserv::abi_0::";
  constexpr std::string_view written = "sockserv::";
  std::string name = boost::core::demangle(type.name());
  for (std::size_t at = 0; (at = name.find(unwritten, at)) != std::string::npos; at += written.size()) {
    name.replace(at, unwritten.size(), written);
  }
  return name;
}

}  // namespace sockserv::inline abi_0::detail
