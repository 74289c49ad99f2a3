#pragma once

#include <algorithm>
#include <string>

namespace example {

/// The text without what could control a terminal: for text of somebody else's that is to be shown.
inline std::string printable(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return c < ' ' || c == 0x7f; }, '?');
  return text;
}

}  // namespace example
