#include <sockserv/detail/waiting.hpp>

#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <algorithm>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <cerrno>
#include <limits>
#include <memory>
#include <mutex>
#include <new>
#include <sockserv/address.hpp>
#include <sockserv/detail/contexts.hpp>
#include <sockserv/detail/live_requests.hpp>
#include <vector>

#include "transfer.hpp"

namespace sockserv::detail {
namespace {

using boost::asio::io_context;

constinit std::mutex idle_mutex;  // guards what follows
/// Contexts of threads that are gone. Never destroyed, since threads may end after main() has returned.
constinit std::vector<io_context*>* idle_contexts = nullptr;

/// A context for one thread, while that lives, and then for another. It is not destroyed with the thread: an operation
/// that runs in a thread of its own may still touch it when the one that has awaited it is gone.
class Lease {
 public:
  Lease() = default;
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;
  ~Lease() {
    if (!context_) return;
    const std::scoped_lock lock(idle_mutex);
    idle_contexts->push_back(context_);
  }

  io_context& context() {
    if (!context_) context_ = take();
    return *context_;
  }
  void abandon() noexcept { context_ = nullptr; }

  static Lease& of_this_thread() {
    thread_local Lease mine;
    return mine;
  }

 private:
  static io_context* take() {
    const std::scoped_lock lock(idle_mutex);
    if (!idle_contexts) idle_contexts = new std::vector<io_context*>;
    if (idle_contexts->empty()) return new io_context(1);
    io_context* const last = idle_contexts->back();
    idle_contexts->pop_back();
    return last;
  }

  io_context* context_ = nullptr;
};

class Blocking final : public Waiting {
 public:
  std::size_t receive(int descriptor, std::span<const iovec> buffers, time_point deadline,
                      error_code& error) noexcept override {
    if (deadline == no_deadline) [[likely]]
      return retry([&] { return receive_into(descriptor, buffers, 0); }, error);
    return receive_until(deadline, *this, descriptor, buffers, error);
  }

  std::size_t send(int descriptor, std::span<const iovec> buffers, time_point deadline,
                   error_code& error) noexcept override {
    if (deadline == no_deadline) [[likely]]
      return retry([&] { return send_from(descriptor, buffers, 0); }, error);
    return send_until(deadline, *this, descriptor, buffers, error);
  }

  void send_to(int descriptor, std::string_view packet, const Address& address, error_code& error) noexcept override {
    retry([&] { return send_packet(descriptor, packet, address, 0); }, error);
  }

  void set_timeout(int descriptor, std::optional<duration> limit, error_code& error) noexcept override {
    // A zero timeval means no limit, so a limit below a microsecond becomes one microsecond.
    const auto microseconds =
        limit ? std::max<std::int64_t>(1, std::chrono::ceil<std::chrono::microseconds>(*limit).count()) : 0;
    timeval value{};
    value.tv_sec = microseconds / 1'000'000;
    value.tv_usec = microseconds % 1'000'000;
    error.clear();
    for (const int option : {SO_RCVTIMEO, SO_SNDTIMEO}) {
      if (::setsockopt(descriptor, SOL_SOCKET, option, &value, sizeof value) != 0) error = last_system_error();
    }
  }
};

}  // namespace

std::size_t Waiting::receive_more(int descriptor, InputBuffer& buffer, time_point deadline, error_code& error) {
  const std::span<char> room = buffer.room();
  const iovec target{room.data(), room.size()};
  const std::size_t count = receive(descriptor, {&target, 1}, deadline, error);
  buffer.commit(count);
  return count;
}

std::size_t Waiting::receive_elsewhere(int descriptor, std::span<const iovec> buffers, time_point deadline,
                                       error_code& error) noexcept {
  return blocking().receive(descriptor, buffers, deadline, error);
}

std::size_t Waiting::send_elsewhere(int descriptor, std::span<const iovec> buffers, time_point deadline,
                                    error_code& error) noexcept {
  return blocking().send(descriptor, buffers, deadline, error);
}

void Waiting::wait_until_ready(int descriptor, short events, time_point deadline, error_code& error) noexcept {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now()).count();
  pollfd watched{descriptor, events, 0};
  const int ready =
      ::poll(&watched, 1, static_cast<int>(std::clamp<std::int64_t>(left, 0, std::numeric_limits<int>::max())));
  error.clear();
  if (ready == 0 && std::chrono::steady_clock::now() >= deadline) error = errc::timed_out;
}

void close_idle_contexts() noexcept {
  const std::scoped_lock lock(idle_mutex);
  if (!idle_contexts) return;
  for (const io_context* const context : *idle_contexts) delete context;
  idle_contexts->clear();
}

void abandon_contexts() noexcept {
  if (!idle_contexts) return;    // there has never been one, and a child touches no memory without need
  new (&idle_mutex) std::mutex;  // a thread that is not here may have held it
  idle_contexts = nullptr;
  Lease::of_this_thread().abandon();
}

bool Waiting::sleep_until(time_point time, LiveRequests& live) { return !live.wait_until_cut_off(time); }

void Waiting::run_elsewhere(const std::function<void()>& work) { work(); }

io_context& Waiting::context() { return Lease::of_this_thread().context(); }

Waiting::Outcome Waiting::wait_for(const bool& done, time_point deadline, LiveRequests* live) {
  io_context& own = context();
  const auto work = boost::asio::make_work_guard(own);
  own.restart();
  const auto cut_off = std::make_shared<bool>(false);  // what is posted may run when this wait is over
  std::optional<LiveRequests::CutOffAction> on_cut_off;
  if (live) on_cut_off.emplace(*live, [&] { boost::asio::post(own, [cut_off] { *cut_off = true; }); });
  while (!done) {
    if (*cut_off) return Outcome::cut_off;
    if (deadline == no_deadline) {
      own.run_one();
    } else if (own.run_one_until(deadline) == 0) {
      return Outcome::timed_out;
    }
  }
  return Outcome::done;
}

Waiting& blocking() noexcept {
  static Blocking strategy;
  return strategy;
}

}  // namespace sockserv::detail
