#include "target.hpp"

#include <algorithm>
#include <boost/algorithm/string/predicate.hpp>
#include <charconv>
#include <cstdint>
#include <optional>

#include "authority.hpp"

namespace web {
namespace {

std::optional<int> hexadecimal(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
  if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
  return std::nullopt;
}

std::string percent_decoded(std::string_view text) {
  std::string decoded;
  for (;;) {
    const std::size_t plain = std::min(text.find('%'), text.size());
    decoded += text.substr(0, plain);
    text.remove_prefix(plain);
    if (text.empty()) return decoded;
    const auto high = text.size() > 1 ? hexadecimal(text[1]) : std::nullopt;
    const auto low = text.size() > 2 ? hexadecimal(text[2]) : std::nullopt;
    if (!high || !low) throw BadRequest("a percent sign without two hexadecimal digits");
    decoded += static_cast<char>(*high * 16 + *low);
    text.remove_prefix(3);
  }
}

/// The path without `.`, `..` and empty names, as RFC 3986, 5.2.4, has it; a `..` that would leave the root is refused.
/// An encoded slash separates names like any other.
std::string normalized(std::string_view path) {
  std::string result;
  for (std::size_t begin = 0; begin < path.size();) {
    const std::size_t end = std::min(path.find('/', begin), path.size());
    const std::string_view name = path.substr(begin, end - begin);
    const bool is_last = end == path.size();
    begin = end + 1;
    if (name == "..") {
      if (result.empty()) throw BadRequest("the path leads out of the root");
      result.erase(result.rfind('/'));
    } else if (!name.empty() && name != ".") {
      result += '/';
      result += name;
      if (is_last) return result;
    }
  }
  return result + '/';
}

/// Returns the path and query of `http://host/path?query`.
std::string_view after_authority(std::string_view target) {
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (!boost::istarts_with(target, scheme)) continue;
    const std::string_view rest = target.substr(scheme.size());
    const std::size_t length = std::min(rest.find_first_of("/?"), rest.size());
    if (!is_authority(rest.substr(0, length))) throw BadRequest("the target's host is none");
    return rest.substr(length);
  }
  throw BadRequest("the target is neither a path nor a URL");
}

/// Refuses a target of CONNECT that is not `host:port` (RFC 9112, 3.2.3; RFC 9110, 9.3.6).
void check_tunnel(std::string_view target) {
  const std::string_view port = target.substr(target.rfind(':') + 1);
  std::uint16_t number = 0;
  const char* const end = port.data() + port.size();
  const auto [rest, error] = std::from_chars(port.data(), end, number);
  if (!is_authority(target) || error != std::errc() || rest != end || number == 0) {
    throw BadRequest("the target of CONNECT is no host with a port");
  }
}

bool is_plain(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
         c == '_' || c == '~' || c == '/';
}

}  // namespace

Target parse_target(http::verb method, std::string_view target) {
  // An authority (CONNECT) and the asterisk (OPTIONS) name no resource, so what there is to say of them is about
  // methods.
  if (method == http::verb::connect) check_tunnel(target);
  const bool names_none = method == http::verb::connect || (method == http::verb::options && target == "*");
  if (names_none) return {"/", {}};
  if (!target.starts_with('/')) target = after_authority(target);
  const std::size_t end = std::min(target.find('?'), target.size());
  Target result{normalized(percent_decoded(target.substr(0, end))), target.substr(std::min(end + 1, target.size()))};
  if (result.path.find('\0') != result.path.npos) throw BadRequest("a NUL in the path");
  return result;
}

std::string percent_encoded(std::string_view path) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  std::string encoded;
  for (const char c : path) {
    if (is_plain(c)) {
      encoded += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      encoded += {'%', digits[byte / 16], digits[byte % 16]};
    }
  }
  return encoded;
}

std::string html_escaped(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      case '\'':
        escaped += "&#x27;";
        break;
      default:
        escaped += c;
    }
  }
  return escaped;
}

}  // namespace web
