#include <sockserv/options.hpp>

#include <sockserv/detail/settings.hpp>
#include <stdexcept>
#include <string>

namespace sockserv::inline abi_0 {

namespace {

/// Linux has no longer datagram: what a Unix socket sends at a time takes kernel memory in one piece.
constexpr std::size_t longest_packet = std::size_t{64} << 20;

void check_limit(const std::optional<std::chrono::steady_clock::duration>& limit, const char* field) {
  if (limit) {
    detail::require_positive(std::string("ServerOptions::") + field, *limit, "; for no limit, give it no value");
  }
}

}  // namespace

void detail::validate(const ServerOptions& options) {
  if (options.request_queue_size < 0) {
    throw std::invalid_argument("ServerOptions::request_queue_size is " + std::to_string(options.request_queue_size) +
                                "; it must not be negative");
  }
  require_within("ServerOptions::max_packet_size", options.max_packet_size, 1, longest_packet);
  check_limit(options.idle_timeout, "idle_timeout");
  check_limit(options.request_timeout, "request_timeout");
  check_limit(options.prepare_timeout, "prepare_timeout");
  check_limit(options.linger_timeout, "linger_timeout");
  require_not_negative("ServerOptions::first_request_grace", options.first_request_grace);
  if (!options.log) {
    throw std::invalid_argument("ServerOptions::log is empty; to drop all messages, give it a function that does");
  }
}

}  // namespace sockserv::inline abi_0
