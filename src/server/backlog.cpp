/// How the backlog is taken when a server drains.

#include <sockserv/detail/deadline.hpp>
#include <sockserv/detail/descriptor.hpp>
#include <sockserv/error.hpp>
#include <thread>

#include "serving_role.hpp"

namespace sockserv::inline abi_0 {
namespace {

/// How often the parent looks at the workers that take the backlog.
constexpr std::chrono::milliseconds workers_interval(20);

}  // namespace

bool AbstractServer::Core::taking_backlog() const noexcept {
  return lifecycle_.is_backlog_wanted() && !drain_hurried_ && detail::now() < backlog_deadline_;
}

/// Where `drain()` follows, it would need another thread for this, and perhaps there is none by then.
void AbstractServer::Core::begin_expected_drain() {
  backlog_deadline_ = detail::deadline_after(drain_limit_, lifecycle_.stopped_at());
  lifecycle_.want_backlog(true);
}

/// Serves what was waiting to be accepted when the server was told to drain.
void AbstractServer::Core::take_backlog() {
  const bool is_wanted = lifecycle_.is_backlog_wanted();
  if (is_wanted) serve_backlog();
  finish_awaiting_clients();
  if (is_wanted) lifecycle_.backlog_taken();
}

/// No more than the backlog can hold, so that clients who keep coming do not keep the server from ending.
void AbstractServer::Core::serve_backlog() {
  const auto is_wanted = [this] { return taking_backlog() && detail::is_readable(listener()); };
  const auto wait = [this] { poll_once(detail::deadline_after(workers_interval)); };
  if (detail::Processes* const processes = runner().processes();
      processes && processes->take_backlog(is_wanted, wait)) {
    return;
  }
  const int limit = server_.listener_.backlog_limit(server_.options().request_queue_size);
  for (int left = limit; left > 0 && taking_backlog();) {
    if (!may_accept()) {
      poll_once(accepts_again_at());
    } else if (server_.handle_request_noblock()) {
      --left;
    } else {
      break;
    }
  }
}

/// Where nobody serves, a thread takes the backlog while the caller watches the deadline. The caller does it where
/// there should be no thread, or can be none; then a request that the serving thread itself runs may outlast the
/// deadline.
void AbstractServer::Core::take_unserved_backlog(time_point deadline) {
  if (!lifecycle_.begin_serving_backlog(typeid(server_))) return;
  if (!server_.prefers_single_thread() && start_taking_backlog()) return;
  backlog_deadline_ = deadline;
  take_backlog_in_this_thread();
}

/// Returns false if there can be no thread. It is not joined: it may still be in a handler when the caller of `drain()`
/// gives up. Destruction waits for it as for every serving thread.
bool AbstractServer::Core::start_taking_backlog() {
  try {
    std::thread([this] { take_backlog_in_this_thread(); }).detach();
    return true;
  } catch (const std::exception&) {
    return false;
  }
}

void AbstractServer::Core::take_backlog_in_this_thread() {
  const ServingRole role(*this);
  const auto error = detail::error_of([this] {
    server_.check_settings();
    begin_awaiting_clients();
    take_backlog();
    throw_fatal_error();
  });
  if (!error) return;
  server_.log(LogLevel::error, [&] { return "the backlog was not taken whole: " + detail::describe(error); });
}

}  // namespace sockserv::inline abi_0
