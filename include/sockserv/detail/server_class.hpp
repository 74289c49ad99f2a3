#pragma once

#include <concepts>
#include <sockserv/server/abstract.hpp>

namespace sockserv::inline abi_0::detail {

/// What a mixin can be put around: a server class, such as `TCPServer<Handler>`.
template <class Class>
concept ServerClass = std::derived_from<Class, AbstractServer>;

/// A server whose requests are served in processes of their own: no other mixin fits around it.
template <class Server>
inline constexpr bool serves_in_processes = requires(const Server& server) { server.active_children(); };

}  // namespace sockserv::inline abi_0::detail
