#include <sockserv/options.hpp>

#include <stdexcept>
#include <string>

namespace sockserv {

namespace {

void require_positive(const std::optional<std::chrono::steady_clock::duration>& limit, const char* field) {
  if (limit && *limit <= std::chrono::steady_clock::duration::zero()) {
    throw std::invalid_argument(std::string("ServerOptions::") + field +
                                " must be positive; for no limit, give it no value");
  }
}

}  // namespace

void detail::validate(const ServerOptions& options) {
  if (options.request_queue_size < 0) {
    throw std::invalid_argument("ServerOptions::request_queue_size is " + std::to_string(options.request_queue_size) +
                                "; it must not be negative");
  }
  if (options.max_packet_size == 0) {
    throw std::invalid_argument("ServerOptions::max_packet_size is 0; it must be at least 1");
  }
  require_positive(options.idle_timeout, "idle_timeout");
  require_positive(options.request_deadline, "request_deadline");
  if (!options.log) {
    throw std::invalid_argument("ServerOptions::log is empty; to drop all messages, give it a function that does");
  }
}

}  // namespace sockserv
