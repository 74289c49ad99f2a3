#include <sockserv/await.hpp>

#include <sockserv/detail/request_scope.hpp>
#include <sockserv/server/abstract.hpp>

namespace sockserv {

boost::asio::io_context::executor_type this_request::executor() {
  return detail::transport_of_request().context().get_executor();
}

namespace detail {

Transport& transport_of_request() { return *RequestScope::of_request().transport(); }

Transport::Outcome Awaited::wait(Transport::time_point deadline) {
  LiveRequests& live = RequestScope::of_request().server().live_requests();
  const Transport::Outcome outcome = transport_->wait_for(done_, deadline, &live);
  if (outcome == Transport::Outcome::done) return outcome;
  // An operation that can be cancelled has installed a handler for that, and ends soon after.
  if (signal_.slot().has_handler()) {
    signal_.emit(boost::asio::cancellation_type::all);
    transport_->wait_for(done_, Transport::no_deadline, nullptr);
  }
  transport_ = nullptr;
  return outcome;
}

void throw_given_up(Transport::Outcome reason) {
  if (reason == Transport::Outcome::done)
    throw_error(boost::asio::error::operation_aborted, "await: the operation was dropped");
  throw_request_error(reason == Transport::Outcome::timed_out ? errc::timed_out : errc::aborted, "await");
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
}  // namespace sockserv
