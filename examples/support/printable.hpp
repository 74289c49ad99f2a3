#pragma once

#include <sockserv/detail/text.hpp>

namespace example {

using sockserv::detail::printable;

}  // namespace example
