#include <sockserv/this_request.hpp>

#include <sockserv/detail/deadline.hpp>
#include <sockserv/detail/request_scope.hpp>
#include <sockserv/detail/scheduler.hpp>
#include <sockserv/error.hpp>
#include <sockserv/server/abstract.hpp>

namespace sockserv::inline abi_0 {

namespace this_request {

void sleep_for(std::chrono::steady_clock::duration duration) { sleep_until(detail::deadline_after(duration)); }

void sleep_until(std::chrono::steady_clock::time_point time) {
  detail::RequestScope& scope = detail::RequestScope::of_request();
  if (!scope.scheduler().sleep_until(time, &scope.live_requests())) {
    detail::throw_request_error(errc::aborted, "sleep");
  }
}

bool stop_requested() { return detail::RequestScope::of_request().server().stop_requested(); }

}  // namespace this_request

void detail::offload(const std::function<void()>& work) { RequestScope::of_request().scheduler().offload(work); }

}  // namespace sockserv::inline abi_0
