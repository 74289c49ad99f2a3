#include <sockserv/detail/live_requests.hpp>

#include <sys/socket.h>
#include <unistd.h>

#include <new>
#include <sockserv/detail/descriptor.hpp>
#include <utility>

namespace sockserv::inline abi_0::detail {

LiveRequest::LiveRequest(LiveRequest&& other) noexcept { take_place_of(other); }

LiveRequest& LiveRequest::operator=(LiveRequest&& other) noexcept {
  if (this != &other) {
    leave();
    take_place_of(other);
  }
  return *this;
}

void LiveRequest::enter(LiveRequests& all, Counters& counters, int descriptor) {
  const std::scoped_lock lock(all.mutex_);
  counters_ = &counters;
  ++*all.size_;
  link_to(all, descriptor);
}

void LiveRequest::enter_uncounted(LiveRequests& all, int descriptor) {
  const std::scoped_lock lock(all.mutex_);
  link_to(all, descriptor);
}

void LiveRequest::link_to(LiveRequests& all, int descriptor) noexcept {
  all_ = &all;
  descriptor_ = descriptor;
  next_ = std::exchange(all.first_, this);
  if (next_) next_->previous_ = this;
  if (all.aborted_ && descriptor >= 0) ::shutdown(descriptor, SHUT_RDWR);  // it comes too late
}

void LiveRequest::leave() noexcept {
  if (!all_) return;
  LiveRequests& all = *std::exchange(all_, nullptr);
  const std::scoped_lock lock(all.mutex_);
  hand_in(bytes_in_, &Counters::bytes_in);
  hand_in(bytes_out_, &Counters::bytes_out);
  (previous_ ? previous_->next_ : all.first_) = next_;
  if (next_) next_->previous_ = previous_;
  previous_ = next_ = nullptr;
  if (!std::exchange(counters_, nullptr)) return;
  // Under the lock, because a thread that waits for the last request may then destroy what on_room_ refers to.
  if (std::exchange(all.room_wanted_, false)) all.on_room_();
  if (--*all.size_ == 0 && all.waiting_ > 0) all.none_left_.notify_all();
}

// It sees that idle requests are to end, or end_idle() sees that it is one.
LiveRequest::Idle::Idle(LiveRequest* request) noexcept : request_(request) {
  if (!request) return;
  request->idle_ = request->is_new_ ? IdleState::is_new : IdleState::idle;
  LiveRequests* const all = request->all_;
  if (all && (request->is_new_ ? all->ends_new_ : all->ends_idle_)) request->end_if_silent();
}

std::chrono::steady_clock::duration LiveRequest::grace() const noexcept { return all_->grace_; }

void LiveRequest::end_if_silent() noexcept {
  if (descriptor_ < 0 || is_readable(descriptor_)) return;
  note_receiving_ended();
  ::shutdown(descriptor_, SHUT_RD);
}

void LiveRequest::fold(Count& own, Total total) noexcept {
  if (!all_) return;
  const std::scoped_lock lock(all_->mutex_);
  hand_in(own, total);
}

/// With the lock held, so that nobody who adds up all bytes finds these in both places, or in neither.
void LiveRequest::hand_in(Count& own, Total total) noexcept {
  const std::uint32_t bytes = own.load(std::memory_order_relaxed);
  if (bytes == 0) return;
  if (counters_) count(counters_->*total, bytes);
  own.store(0, std::memory_order_relaxed);
}

void LiveRequest::take_place_of(LiveRequest& other) noexcept {
  if (!other.all_) return;
  const std::scoped_lock lock(other.all_->mutex_);
  all_ = std::exchange(other.all_, nullptr);
  counters_ = std::exchange(other.counters_, nullptr);
  previous_ = std::exchange(other.previous_, nullptr);
  next_ = std::exchange(other.next_, nullptr);
  descriptor_ = std::exchange(other.descriptor_, -1);
  bytes_in_.store(other.bytes_in_.exchange(0));
  bytes_out_.store(other.bytes_out_.exchange(0));
  (previous_ ? previous_->next_ : all_->first_) = this;
  if (next_) next_->previous_ = this;
}

std::size_t LiveRequests::size() const {
  const std::scoped_lock lock(mutex_);
  return *size_;
}

bool LiveRequests::has_room(std::size_t limit) const {
  const std::scoped_lock lock(mutex_);
  if (*size_ < limit) return true;
  room_wanted_ = true;
  return false;
}

bool LiveRequests::wait_until_none(std::chrono::steady_clock::time_point deadline) {
  std::unique_lock lock(mutex_);
  ++waiting_;
  const bool none = none_left_.wait_until(lock, deadline, [&] { return *size_ == 0; });
  --waiting_;
  return none;
}

bool LiveRequests::wait_until_aborted(std::chrono::steady_clock::time_point time) {
  std::unique_lock lock(mutex_);
  return aborted_all_.wait_until(lock, time, [&] { return aborted_; });
}

LiveRequests::AbortAction::AbortAction(LiveRequests& all, std::function<void()> action) : all_(all) {
  const std::scoped_lock lock(all_.mutex_);
  place_ = all_.abort_actions_.insert(all_.abort_actions_.end(), std::move(action));
  if (all_.aborted_) (*place_)();
}

LiveRequests::AbortAction::~AbortAction() {
  const std::scoped_lock lock(all_.mutex_);
  all_.abort_actions_.erase(place_);
}

void LiveRequests::end_idle(EndIdle when) {
  const std::scoped_lock lock(mutex_);
  const bool at_once = when == EndIdle::at_once;
  // Those that have become idle since have seen it.
  if (ends_idle_.exchange(true) && (!at_once || ends_new_)) return;
  if (at_once) ends_new_ = true;
  for (LiveRequest* request = first_; request; request = request->next_) {
    const LiveRequest::IdleState state = request->idle_;
    if (state == LiveRequest::IdleState::idle || (at_once && state == LiveRequest::IdleState::is_new)) {
      request->end_if_silent();
    }
  }
}

std::size_t LiveRequests::shut_all_down() {
  const std::scoped_lock lock(mutex_);
  aborted_ = true;
  aborted_all_.notify_all();
  for (const std::function<void()>& action : abort_actions_) action();
  for (const LiveRequest* request = first_; request; request = request->next_) {
    if (request->descriptor_ >= 0) ::shutdown(request->descriptor_, SHUT_RDWR);
  }
  return *size_;
}

bool LiveRequests::are_aborted() const {
  const std::scoped_lock lock(mutex_);
  return aborted_;
}

void LiveRequests::close_in_child() const noexcept {
  for (const LiveRequest* request = first_; request; request = request->next_) {
    if (request->descriptor_ >= 0) ::close(request->descriptor_);
  }
}

LiveRequests::Bytes LiveRequests::bytes(const Counters& counters) const {
  const std::scoped_lock lock(mutex_);
  Bytes sum{counters.bytes_in, counters.bytes_out};
  for (const LiveRequest* request = first_; request; request = request->next_) {
    if (!request->counters_) continue;
    sum.in += request->bytes_in_.load(std::memory_order_relaxed);
    sum.out += request->bytes_out_.load(std::memory_order_relaxed);
  }
  return sum;
}

}  // namespace sockserv::inline abi_0::detail
