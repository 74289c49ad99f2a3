#include <sockserv/await.hpp>

#include <sockserv/detail/request_scope.hpp>

namespace sockserv::inline abi_0 {

boost::asio::io_context::executor_type this_request::executor() {
  return detail::scheduler_of_request().context().get_executor();
}

namespace detail {

Scheduler& scheduler_of_request() { return RequestScope::of_request().scheduler(); }

Scheduler::Outcome Awaited::wait(time_point deadline) {
  LiveRequests& live = RequestScope::of_request().live_requests();
  const Scheduler::Outcome outcome = scheduler_->wait_until_done(done_, deadline, &live);
  if (outcome == Scheduler::Outcome::done) return outcome;
  // An operation that can be cancelled has installed a handler for that, and ends soon after.
  if (signal_.slot().has_handler()) {
    signal_.emit(boost::asio::cancellation_type::all);
    scheduler_->wait_until_done(done_, no_deadline, nullptr);
  }
  scheduler_ = nullptr;
  return outcome;
}

void throw_given_up(Scheduler::Outcome reason) {
  if (reason == Scheduler::Outcome::done)
    throw_error(boost::asio::error::operation_aborted, "await: the operation was dropped");
  throw_request_error(reason == Scheduler::Outcome::timed_out ? errc::timed_out : errc::aborted, "await");
}

bool is_cancellation(const std::exception_ptr& error) noexcept {
  if (!error) return false;
  try {
    std::rethrow_exception(error);
  } catch (const boost::system::system_error& failure) {
    return is_cancellation(failure.code());
  } catch (...) {
    return false;
  }
}

}  // namespace detail
}  // namespace sockserv::inline abi_0
