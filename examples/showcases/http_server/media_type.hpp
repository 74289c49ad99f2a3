#pragma once

#include <string_view>

namespace web {

/// What a file's content is, by the extension of its name; that it is some bytes if nothing else is known.
std::string_view media_type(std::string_view name);

}  // namespace web
