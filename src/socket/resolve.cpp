#include "resolve.hpp"

#include <stdexcept>
#include <string>

namespace sockserv::inline abi_0::detail {

std::optional<boost::asio::ip::address> numeric_host(std::string_view host) {
  error_code not_numeric;
  const auto address = boost::asio::ip::make_address(host, not_numeric);
  return not_numeric ? std::nullopt : std::optional(address);
}

void check_port(int port, int least) {
  if (port >= least && port <= 65535) return;
  throw std::invalid_argument("port " + std::to_string(port) + " is out of range: " + std::to_string(least) +
                              " to 65535");
}

void throw_cannot_resolve(std::string_view host, const error_code& error) {
  // Made anew without the place in Asio's source where it came from, which tells a user nothing.
  throw_error(error_code(error.value(), error.category()), "cannot resolve host '" + std::string(host) + "'");
}

}  // namespace sockserv::inline abi_0::detail
