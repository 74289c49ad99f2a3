#include <sockserv/detail/client_limits.hpp>

#include <algorithm>
#include <atomic>
#include <sockserv/detail/deadline.hpp>
#include <sockserv/options.hpp>

namespace sockserv::inline abi_0::detail {

ClientLimits::ClientLimits(const ServerOptions& options, time_point accepted) noexcept : options_(&options) {
  if (options.request_timeout) end_ = deadline_after(*options.request_timeout, accepted);
}

ClientLimits::Deadline ClientLimits::deadline(time_point begun, std::optional<duration> timeout,
                                              std::optional<std::size_t> item) noexcept {
  Deadline first;
  const auto consider = [&](time_point at, errc meaning) {
    if (at < first.at) first = {at, meaning};
  };
  consider(end_, errc::request_too_long);
  if (is_preparing_ && options_->prepare_timeout) {
    if (prepared_by_ == time_point::max()) prepared_by_ = deadline_after(*options_->prepare_timeout, begun);
    consider(prepared_by_, errc::prepare_too_long);
  }
  if (options_->idle_timeout) {
    const time_point progress{duration(std::atomic_ref(last_progress_).load(std::memory_order_relaxed))};
    consider(deadline_after(*options_->idle_timeout, std::max(begun, progress)), errc::idle_too_long);
  }
  if (options_->min_receive_rate > 0 && item) {
    const bool is_one_item = one_item_at_ != no_item;
    const std::uint64_t at = is_one_item ? one_item_at_ : received_ - *item;
    const std::uint64_t size = received_ - at - (is_one_item ? not_counted_ : 0);
    if (received_ > at) consider(rate_deadline(begun, at, size), errc::too_slow);
  }
  if (timeout) consider(deadline_after(*timeout, begun), errc::timed_out);
  return first;
}

ClientLimits::time_point ClientLimits::rate_deadline(time_point begun, std::uint64_t at, std::uint64_t size) noexcept {
  if (at != item_at_) {
    item_at_ = at;
    item_begun_ = begun;
  }
  const double seconds = static_cast<double>(size) / static_cast<double>(options_->min_receive_rate);
  return deadline_after(std::chrono::duration<double>(seconds), item_begun_ + rate_grace);
}

void ClientLimits::has_sent(std::size_t bytes, time_point now) noexcept {
  received_ += bytes;
  has_taken(now);
}

void ClientLimits::has_taken(time_point now) noexcept {
  std::atomic_ref(last_progress_).store(now.time_since_epoch().count(), std::memory_order_relaxed);
}

std::optional<errc> ClientLimits::passed(time_point now) noexcept {
  const errc noted = std::atomic_ref(passed_).load(std::memory_order_relaxed);
  if (noted != errc{}) return noted;
  if (now >= end_) return errc::request_too_long;
  return now >= prepared_by_ ? std::optional(errc::prepare_too_long) : std::nullopt;
}

bool ClientLimits::note_passed(errc limit) noexcept {
  errc none{};
  return std::atomic_ref(passed_).compare_exchange_strong(none, limit, std::memory_order_relaxed);
}

}  // namespace sockserv::inline abi_0::detail
