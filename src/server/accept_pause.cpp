#include "accept_pause.hpp"

#include <sockserv/detail/clock.hpp>

#include <algorithm>
#include <cerrno>
#include <new>
#include <sockserv/error.hpp>

namespace sockserv::inline abi_0::detail {
namespace {

using std::chrono::milliseconds;

constexpr AcceptPause::clock::duration shortest_pause = milliseconds(10);
constexpr AcceptPause::clock::duration longest_pause = std::chrono::seconds(1);

/// A connection that failed before it was accepted (accept(2), "Error handling"): the next one may be well.
bool concerns_one_connection(int error) noexcept {
  switch (error) {
    case ECONNABORTED:
    case EPROTO:
    case EPERM:
    case ENETDOWN:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case EOPNOTSUPP:
    case ENETUNREACH:
    case ECONNREFUSED:
    case ECONNRESET:
      return true;
    default:
      return false;
  }
}

/// The operating system's error, or 0 if it is none.
int system_error_of(const std::exception_ptr& error) noexcept {
  try {
    std::rethrow_exception(error);
  } catch (const boost::system::system_error& failure) {
    return failure.code().category() == boost::system::system_category() ? failure.code().value() : 0;
  } catch (const std::bad_alloc&) {
    return ENOMEM;
  } catch (...) {
    return 0;  // an override of get_request refused a connection in its own way
  }
}

}  // namespace

AcceptPause::Verdict AcceptPause::failed(const std::exception_ptr& error) noexcept {
  const int code = system_error_of(error);
  if (code == EBADF || code == EINVAL || code == ENOTSOCK) return Verdict::stop;
  if (code == 0 || concerns_one_connection(code)) return Verdict::go_on;
  const std::scoped_lock lock(mutex_);
  failing_ = true;
  length_ = std::clamp(2 * length_, shortest_pause, longest_pause);
  end_ = detail::now() + length_;
  return Verdict::pause;
}

void AcceptPause::succeeded() noexcept {
  if (!failing_) return;
  const std::scoped_lock lock(mutex_);
  failing_ = false;
  length_ = {};
}

std::optional<AcceptPause::clock::time_point> AcceptPause::end() const noexcept {
  if (!failing_) return std::nullopt;
  const std::scoped_lock lock(mutex_);
  if (length_ == clock::duration::zero() || detail::now() >= end_) return std::nullopt;
  return end_;
}

bool AcceptPause::worth_logging(const std::exception_ptr& error) noexcept {
  return !concerns_one_connection(system_error_of(error)) && may_log_();
}

}  // namespace sockserv::inline abi_0::detail
