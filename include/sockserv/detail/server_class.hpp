#pragma once

#include <concepts>
#include <sockserv/server/abstract.hpp>

namespace sockserv::detail {

/// What a mixin can be put around: a server class, such as `TCPServer<Handler>`.
template <class Class>
concept ServerClass = std::derived_from<Class, AbstractServer>;

}  // namespace sockserv::detail
