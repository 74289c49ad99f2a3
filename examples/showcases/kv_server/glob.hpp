#pragma once

#include <string_view>

namespace kv {

/// Whether a text is one that the pattern stands for, by the rules of Redis: `*` is any text, `?` any character,
/// `[abc]`,
/// `[a-z]` and `[^a]` one of those or none of them, and `\` makes of the next character an ordinary one.
///
/// It takes time of the order of the two lengths multiplied, whatever the pattern.
bool glob_matches(std::string_view pattern, std::string_view text) noexcept;

}  // namespace kv
