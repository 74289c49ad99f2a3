#pragma once

#include <boost/asio/ip/address.hpp>
#include <optional>
#include <sockserv/error.hpp>
#include <string_view>

namespace sockserv::inline abi_0::detail {

/// The address of a host that is given as a number; nothing if it is a name.
std::optional<boost::asio::ip::address> numeric_host(std::string_view host);

/// @throws std::invalid_argument if there can be no such port; `least` is 0 or 1.
void check_port(int port, int least);

/// For a name whose look-up has ended with this error.
[[noreturn]] void throw_cannot_resolve(std::string_view host, const error_code& error);

}  // namespace sockserv::inline abi_0::detail
