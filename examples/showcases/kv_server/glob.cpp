#include "glob.hpp"

#include <algorithm>

namespace kv {
namespace {

/// Takes what is between brackets off a pattern, of which the opening one has been taken; true if the character is one
/// of those. Without a closing bracket all the rest is between them.
bool take_class(std::string_view& pattern, char character) noexcept {
  const bool negated = pattern.starts_with('^');
  if (negated) pattern.remove_prefix(1);
  bool found = false;
  while (!pattern.empty() && pattern.front() != ']') {
    if (pattern.size() >= 2 && pattern[0] == '\\') {
      found = found || pattern[1] == character;
      pattern.remove_prefix(2);
    } else if (pattern.size() >= 3 && pattern[1] == '-') {
      const auto [low, high] = std::minmax(pattern[0], pattern[2]);
      found = found || (low <= character && character <= high);
      pattern.remove_prefix(3);
    } else {
      found = found || pattern[0] == character;
      pattern.remove_prefix(1);
    }
  }
  if (!pattern.empty()) pattern.remove_prefix(1);
  return found != negated;
}

/// Takes what stands for one character off a pattern that is not empty; true if it stands for this one.
bool take_one(std::string_view& pattern, char character) noexcept {
  const char first = pattern.front();
  pattern.remove_prefix(1);
  if (first == '?') return true;
  if (first == '[') return take_class(pattern, character);
  if (first != '\\' || pattern.empty()) return first == character;
  const char escaped = pattern.front();
  pattern.remove_prefix(1);
  return escaped == character;
}

}  // namespace

bool glob_matches(std::string_view pattern, std::string_view text) noexcept {
  // Where to go on if the rest does not match: the last star then stands for one character more. Earlier ones need no
  // second try, since the last one can stand for whatever they could.
  bool star_seen = false;
  std::string_view behind_star;
  std::string_view text_at_star;
  while (!text.empty()) {
    if (pattern.starts_with('*')) {
      pattern.remove_prefix(1);
      star_seen = true;
      behind_star = pattern;
      text_at_star = text;
    } else if (!pattern.empty() && take_one(pattern, text.front())) {
      text.remove_prefix(1);
    } else if (star_seen) {
      pattern = behind_star;
      text_at_star.remove_prefix(1);
      text = text_at_star;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*') == pattern.npos;
}

}  // namespace kv
