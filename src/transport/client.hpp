#pragma once

#include <sockserv/detail/transport.hpp>

namespace sockserv::inline abi_0::detail {

/// Returns the transport of clients' connections, which any handler or thread may use: each operation waits by the
/// scheduler of its caller.
Transport& client_transport() noexcept;

}  // namespace sockserv::inline abi_0::detail
