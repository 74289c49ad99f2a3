#include "lifecycle.hpp"

#include <sockserv/detail/clock.hpp>
#include <stdexcept>
#include <string>

namespace sockserv::inline abi_0 {

bool Lifecycle::begin_serving(const char* caller, const std::type_info& server, const std::function<void()>& check) {
  if (stop_requested_) return false;
  check();
  const std::scoped_lock lock(mutex_);
  if (stop_requested_) return false;
  if (serving_) throw std::logic_error(std::string(caller) + ": another thread serves already");
  if (!listener_.is_listening()) {
    throw std::logic_error(std::string(caller) +
                           ": the server does not listen; it was made with bind_and_activate = false, and "
                           "server_bind() and server_activate() were not called");
  }
  served_as_ = &server;
  serving_ = true;
  return true;
}

bool Lifecycle::begin_serving_backlog(const std::type_info& server) {
  const std::scoped_lock lock(mutex_);
  if (serving_ || !is_backlog_wanted() || !listener_.is_listening()) return false;
  served_as_ = &server;
  serving_ = true;
  return true;
}

void Lifecycle::end_serving() noexcept {
  const std::scoped_lock lock(mutex_);
  serving_ = false;
  if (close_after_serving_) close_now();
  serving_ended_.notify_all();
}

bool Lifecycle::wait_for_serving_thread(time_point deadline) {
  std::unique_lock lock(mutex_);
  return serving_ended_.wait_until(lock, deadline, [this] { return !serving_; });
}

bool Lifecycle::is_serving() const {
  const std::scoped_lock lock(mutex_);
  return serving_;
}

bool Lifecycle::request_stop() noexcept {
  duration::rep never = 0;
  const bool is_first = stopped_at_.compare_exchange_strong(never, detail::now().time_since_epoch().count());
  stop_requested_ = true;
  return is_first;
}

void Lifecycle::close_listener() noexcept {
  const std::scoped_lock lock(mutex_);
  close_after_serving_ = true;
  if (!serving_) close_now();
}

/// With the mutex held.
void Lifecycle::close_now() noexcept {
  listener_.close();
  backlog_ = Backlog::gone;
}

void Lifecycle::want_backlog(bool unless_closing) {
  const std::scoped_lock lock(mutex_);
  if (unless_closing && close_after_serving_) return;
  if (backlog_ == Backlog::left && listener_.is_listening()) backlog_ = Backlog::wanted;
}

void Lifecycle::leave_backlog() noexcept {
  Backlog wanted = Backlog::wanted;
  backlog_.compare_exchange_strong(wanted, Backlog::left);
}

void Lifecycle::backlog_taken() {
  const std::scoped_lock lock(mutex_);
  backlog_ = Backlog::gone;
}

ServerState Lifecycle::state(const std::function<bool()>& runs) const {
  {
    const std::scoped_lock lock(mutex_);
    if (!stop_requested_) return served_as_ ? ServerState::serving : ServerState::created;
    if (serving_ || is_backlog_wanted()) return ServerState::draining;
  }
  return runs() ? ServerState::draining : ServerState::stopped;
}

}  // namespace sockserv::inline abi_0
