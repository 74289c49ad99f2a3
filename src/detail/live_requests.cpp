#include <sockserv/detail/live_requests.hpp>

#include <sys/socket.h>

#include <utility>

namespace sockserv::detail {

LiveRequest::LiveRequest(LiveRequest&& other) noexcept { take_place_of(other); }

LiveRequest& LiveRequest::operator=(LiveRequest&& other) noexcept {
  if (this != &other) {
    leave();
    take_place_of(other);
  }
  return *this;
}

void LiveRequest::enter(LiveRequests& all, int descriptor) {
  const std::scoped_lock lock(all.mutex_);
  all_ = &all;
  descriptor_ = descriptor;
  next_ = std::exchange(all.first_, this);
  if (next_) next_->previous_ = this;
  ++all.size_;
}

void LiveRequest::leave() noexcept {
  if (!all_) return;
  LiveRequests& all = *std::exchange(all_, nullptr);
  const std::scoped_lock lock(all.mutex_);
  (previous_ ? previous_->next_ : all.first_) = next_;
  if (next_) next_->previous_ = previous_;
  previous_ = next_ = nullptr;
  if (--all.size_ == 0 && all.waiting_ > 0) all.none_left_.notify_all();
}

void LiveRequest::take_place_of(LiveRequest& other) noexcept {
  if (!other.all_) return;
  const std::scoped_lock lock(other.all_->mutex_);
  all_ = std::exchange(other.all_, nullptr);
  previous_ = std::exchange(other.previous_, nullptr);
  next_ = std::exchange(other.next_, nullptr);
  descriptor_ = std::exchange(other.descriptor_, -1);
  (previous_ ? previous_->next_ : all_->first_) = this;
  if (next_) next_->previous_ = this;
}

std::size_t LiveRequests::size() const {
  const std::scoped_lock lock(mutex_);
  return size_;
}

bool LiveRequests::wait_until_none(std::chrono::steady_clock::time_point deadline) {
  std::unique_lock lock(mutex_);
  ++waiting_;
  const bool none = none_left_.wait_until(lock, deadline, [&] { return size_ == 0; });
  --waiting_;
  return none;
}

bool LiveRequests::wait_until_cut_off(std::chrono::steady_clock::time_point time) {
  std::unique_lock lock(mutex_);
  return cut_off_all_.wait_until(lock, time, [&] { return cut_off_; });
}

LiveRequests::CutOffAction::CutOffAction(LiveRequests& all, std::function<void()> action) : all_(all) {
  const std::scoped_lock lock(all_.mutex_);
  place_ = all_.cut_off_actions_.insert(all_.cut_off_actions_.end(), std::move(action));
  if (all_.cut_off_) (*place_)();
}

LiveRequests::CutOffAction::~CutOffAction() {
  const std::scoped_lock lock(all_.mutex_);
  all_.cut_off_actions_.erase(place_);
}

std::size_t LiveRequests::shut_all_down() {
  const std::scoped_lock lock(mutex_);
  cut_off_ = true;
  cut_off_all_.notify_all();
  for (const std::function<void()>& action : cut_off_actions_) action();
  for (const LiveRequest* request = first_; request; request = request->next_) {
    if (request->descriptor_ >= 0) ::shutdown(request->descriptor_, SHUT_RDWR);
  }
  return size_;
}

}  // namespace sockserv::detail
