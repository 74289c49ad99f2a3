/// A fiber as a way to wait: what a request's operations do on it.

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/error.hpp>
#include <cerrno>
#include <sockserv/address.hpp>
#include <sockserv/detail/deadline.hpp>
#include <sockserv/detail/live_requests.hpp>
#include <utility>

#include "../transport/transfer.hpp"
#include "fiber.hpp"
#include "loop.hpp"

namespace sockserv::fiber {
namespace {

using std::chrono::milliseconds;

/// How long a datagram may wait for room, where no other limit is set.
constexpr std::chrono::seconds longest_reply_wait(5);

/// How much of a file is sent before others have their turn, to a client that takes it as fast as it is sent.
constexpr std::size_t longest_turn_of_file = std::size_t{2} << 20;

std::size_t size_of(std::span<const iovec> buffers) noexcept {
  std::size_t size = 0;
  for (const iovec& buffer : buffers) size += buffer.iov_len;
  return size;
}

}  // namespace

bool Fiber::runs_here() const noexcept { return loop_.is_running(*this); }

bool Fiber::park_for_readiness(int descriptor, Parked parked, time_point deadline, error_code& error) noexcept {
  if (watched_ != descriptor || descriptor < 0) {  // a closed one is refused
    error = loop_.watch(descriptor, *this);
    if (error) return false;
    watched_ = descriptor;
  }
  if (!park(parked, deadline)) error = errc::timed_out;
  return !error;
}

/// What is there, without waiting for it; no value: nothing is.
std::optional<std::size_t> Fiber::try_to_receive(int descriptor, std::span<const iovec> buffers,
                                                 error_code& error) noexcept {
  ssize_t count = -1;
  do {
    count = detail::receive_into(descriptor, buffers, MSG_DONTWAIT);
  } while (count < 0 && errno == EINTR);
  if (count < 0 && detail::would_block()) {
    readable_ = false;
    return std::nullopt;
  }
  if (count < 0) {
    error = detail::last_system_error();
    return 0;
  }
  const auto received = static_cast<std::size_t>(count);
  if (short_read_empties_ && received < size_of(buffers)) readable_ = false;
  return received;
}

std::size_t Fiber::receive(int descriptor, std::span<const iovec> buffers, time_point deadline,
                           error_code& error) noexcept {
  const time_point limit = detail::earlier(deadline, limits_.receive);
  if (!runs_here()) {
    // Never by a call that blocks: where the fiber sends from a file, the socket is one that does not, for moments.
    return detail::receive_until(limit, detail::blocking(), descriptor, buffers, error);
  }
  take_turns();
  error.clear();
  for (;;) {
    if (!readable_ && !park_for_readiness(descriptor, Parked::to_receive, limit, error)) return 0;
    if (const auto count = try_to_receive(descriptor, buffers, error)) return *count;
  }
}

std::size_t Fiber::receive_more(int descriptor, detail::InputBuffer& buffer, detail::LiveRequest* idle,
                                time_point deadline, error_code& error) {
  if (!runs_here())
    return Transport::receive_more(descriptor, buffer, idle, detail::earlier(deadline, limits_.receive), error);
  const time_point limit = detail::earlier(deadline, limits_.receive);
  take_turns();
  error.clear();
  for (;;) {
    if (!readable_) {
      // Nothing that was read is looked at any more, so a fiber that waits for its client holds next to no memory.
      buffer.economize();
      const detail::LiveRequest::Idle mark(idle);
      if (!park_for_readiness(descriptor, Parked::to_receive, limit, error)) return 0;
    }
    buffer.borrow_from(loop_.input_buffers());
    const std::span<char> room = buffer.room();
    const iovec target{room.data(), room.size()};
    if (const auto count = try_to_receive(descriptor, {&target, 1}, error)) {
      buffer.commit(*count);
      return *count;
    }
  }
}

/// Attempts to send, and parks until that is possible.
template <class Attempt>
std::size_t Fiber::send_by(const Attempt& attempt, int descriptor, time_point deadline, error_code& error) noexcept {
  take_turns();
  error.clear();
  std::optional<time_point> limit;  // most need not wait, and so not look at the clock
  for (;;) {
    if (!writable_) {
      if (!limit) limit = detail::earlier(deadline, limits_.send);
      if (!park_for_readiness(descriptor, Parked::to_send, *limit, error)) return 0;
    }
    const ssize_t count = attempt();
    if (count >= 0) return static_cast<std::size_t>(count);
    if (errno == EINTR) continue;
    if (!detail::would_block()) {
      error = detail::last_system_error();
      return 0;
    }
    writable_ = false;
  }
}

std::size_t Fiber::send(int descriptor, std::span<const iovec> buffers, time_point deadline,
                        error_code& error) noexcept {
  if (!runs_here()) return detail::blocking().send(descriptor, buffers, detail::earlier(deadline, limits_.send), error);
  return send_by([&] { return detail::send_from(descriptor, buffers, MSG_DONTWAIT); }, descriptor, deadline, error);
}

std::size_t Fiber::send_unless_input(int descriptor, std::span<const iovec> buffers, time_point deadline,
                                     error_code& error) noexcept {
  if (!runs_here())
    return detail::blocking().send_unless_input(descriptor, buffers, detail::earlier(deadline, limits_.send), error);
  take_turns();
  error.clear();
  std::optional<time_point> limit;
  for (;;) {
    if (writable_) {
      const ssize_t count = detail::send_from(descriptor, buffers, MSG_DONTWAIT);
      if (count >= 0) return static_cast<std::size_t>(count);
      if (errno == EINTR) continue;
      if (!detail::would_block()) {
        error = detail::last_system_error();
        return 0;
      }
      writable_ = false;
    }
    readable_ = detail::is_readable(descriptor);
    if (readable_) return 0;
    if (!limit) limit = detail::earlier(deadline, limits_.send);
    if (!park_for_readiness(descriptor, Parked::to_receive_or_send, *limit, error)) return 0;
  }
}

std::size_t Fiber::send_file(int descriptor, int file, std::uint64_t offset, std::size_t count, time_point deadline,
                             error_code& error) noexcept {
  if (!runs_here())
    return detail::blocking().send_file(descriptor, file, offset, count, detail::earlier(deadline, limits_.send),
                                        error);
  const std::size_t turn = std::min(count, longest_turn_of_file);
  const auto attempt = [&] { return detail::send_from_file(descriptor, file, offset, turn, false); };
  const std::size_t sent = send_by(attempt, descriptor, deadline, error);
  return error == boost::asio::error::invalid_argument
             ? Transport::send_file(descriptor, file, offset, count, deadline, error)
             : sent;
}

/// There is no telling when a datagram's receiver has room again, so it is tried now and then.
void Fiber::send_to(int descriptor, std::string_view packet, const Address& address, const detail::Host& source,
                    error_code& error) noexcept {
  if (!runs_here()) return detail::blocking().send_to(descriptor, packet, address, source, error);
  take_turns();
  std::optional<time_point> limit;
  for (milliseconds pause(1);; pause = std::min(2 * pause, milliseconds(50))) {
    ssize_t count = -1;
    do {
      count = detail::send_packet(descriptor, packet, address, source, MSG_DONTWAIT);
    } while (count < 0 && errno == EINTR);
    error = count < 0 ? detail::last_system_error() : error_code();
    if (count >= 0 || !detail::would_block()) return;
    if (!limit) limit = detail::deadline_after(limits_.send.value_or(longest_reply_wait));
    if (aborted_ || detail::now() >= *limit) break;
    park(Parked::to_be_woken, detail::deadline_after(pause));
  }
  error = errc::timed_out;
}

void Fiber::set_timeout(int, std::optional<duration> limit, int how, error_code& error) noexcept {
  limits_.set(limit, how);
  error.clear();
}

std::size_t Fiber::receive_elsewhere(int descriptor, std::span<const iovec> buffers, time_point deadline,
                                     error_code& error) noexcept {
  if (!runs_here()) return Transport::receive_elsewhere(descriptor, buffers, deadline, error);
  take_turns();
  return detail::receive_until(deadline, *this, descriptor, buffers, error);
}

std::size_t Fiber::send_elsewhere(int descriptor, std::span<const iovec> buffers, time_point deadline,
                                  error_code& error) noexcept {
  if (!runs_here()) return Transport::send_elsewhere(descriptor, buffers, deadline, error);
  take_turns();
  return detail::send_until(deadline, *this, descriptor, buffers, error);
}

/// What is known of the fiber's own connection stays as it is. An event of either counts for both: at worst it makes
/// for one attempt in vain.
void Fiber::wait_until_ready(int descriptor, short events, time_point deadline, error_code& error) noexcept {
  if (!runs_here()) return Transport::wait_until_ready(descriptor, events, deadline, error);
  error =
      loop_.watch(descriptor, *this);  // anew each time: what has happened meanwhile may have been taken for its own
  if (error) return;
  const bool readable = std::exchange(readable_, false);
  const bool writable = std::exchange(writable_, false);
  const Parked parked = events == POLLIN    ? Parked::to_receive
                        : events == POLLOUT ? Parked::to_send
                                            : Parked::to_receive_or_send;
  if (!park(parked, deadline)) error = errc::timed_out;
  readable_ = readable_ || readable;
  writable_ = writable_ || writable;
}

bool Fiber::sleep_until(time_point time, detail::LiveRequests& live) {
  if (!runs_here()) return Transport::sleep_until(time, live);
  while (detail::now() < time) {
    if (aborted_) return false;
    park(Parked::to_be_woken, time);
  }
  return true;
}

void Fiber::run_elsewhere(const std::function<void()>& work) {
  if (!runs_here()) return work();

  struct Work final : detail::ThreadTask {
    const std::function<void()>& work;
    Fiber& fiber;
    detail::RequestScope* scope;
    OperationMemory& memory;
    bool& done;

    Work(const std::function<void()>& what, Fiber& whose, OperationMemory& for_wake, bool& is_done)
        : work(what), fiber(whose), scope(detail::RequestScope::current()), memory(for_wake), done(is_done) {}

    void run() override {
      detail::RequestScope::current() = scope;  // the fiber, which owns it, waits for us
      work();
      detail::RequestScope::current() = nullptr;
      fiber.loop_.post(memory, [&fiber = fiber, &done = done] {
        done = true;
        fiber.wake();
      });
    }
  };
  OperationMemory memory;
  bool done = false;
  std::unique_ptr<detail::ThreadTask> task = std::make_unique<Work>(work, *this, memory, done);
  loop_.owner().run_elsewhere(task);
  while (wait_for(done, no_deadline, nullptr) != Outcome::done) continue;
}

boost::asio::io_context& Fiber::context() { return runs_here() ? loop_.context() : Transport::context(); }

Fiber::Outcome Fiber::wait_for(const bool& done, time_point deadline, detail::LiveRequests* live) {
  if (!runs_here()) return Transport::wait_for(done, deadline, live);
  while (!done) {
    if (live && aborted_) return Outcome::aborted;
    if (!park(Parked::to_be_woken, deadline) && !done) return Outcome::timed_out;
  }
  return Outcome::done;
}

void Fiber::wake() {
  // Otherwise what waits is a function that it has offloaded, in the thread that is calling.
  if (Loop::current() != &loop_) return;
  if (parked_ == Parked::to_be_woken) go_on();
  loop_.settle();
}

}  // namespace sockserv::fiber
