#include "authority.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <string>

namespace web {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_hexadecimal(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

/// What RFC 3986, 2.2 and 2.3, calls unreserved and sub-delims, by byte.
constexpr auto name_characters = [] {
  std::array<bool, 256> table{};
  for (const char c :
       std::string_view("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-._~!$&'()*+,;=")) {
    table[static_cast<unsigned char>(c)] = true;
  }
  return table;
}();
bool is_name_character(char c) { return name_characters[static_cast<unsigned char>(c)]; }

/// A name; every IPv4 address is one, too.
bool is_name(std::string_view text) {
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (is_name_character(text[at])) continue;
    const std::string_view digits = text.substr(at + 1, 2);
    if (text[at] != '%' || digits.size() < 2 || !is_hexadecimal(digits[0]) || !is_hexadecimal(digits[1])) return false;
    at += 2;
  }
  return !text.empty();
}

/// "v1.address": a form that is reserved for what comes after IPv6.
bool is_future_address(std::string_view text) {
  const std::size_t dot = text.find('.');
  if (dot == text.npos || dot < 2 || dot + 1 == text.size() || (text[0] != 'v' && text[0] != 'V')) return false;
  const std::string_view version = text.substr(1, dot - 1);
  const std::string_view address = text.substr(dot + 1);
  return std::all_of(version.begin(), version.end(), is_hexadecimal) &&
         std::all_of(address.begin(), address.end(), [](char c) { return is_name_character(c) || c == ':'; });
}

/// What may stand in brackets.
bool is_literal(std::string_view text) {
  in6_addr ignored{};
  return ::inet_pton(AF_INET6, std::string(text).c_str(), &ignored) == 1 || is_future_address(text);
}

}  // namespace

bool is_authority(std::string_view text) {
  const bool has_brackets = text.starts_with('[');
  const std::size_t end = has_brackets ? text.find(']') : text.find(':');
  if (has_brackets && end == text.npos) return false;
  const std::string_view host = has_brackets ? text.substr(1, end - 1) : text.substr(0, end);
  if (has_brackets ? !is_literal(host) : !is_name(host)) return false;
  const std::string_view rest = text.substr(std::min(has_brackets ? end + 1 : end, text.size()));
  return rest.empty() || (rest.front() == ':' && std::all_of(rest.begin() + 1, rest.end(), is_digit));
}

}  // namespace web
