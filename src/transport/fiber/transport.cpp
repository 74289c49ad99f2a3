/// A fiber as a way to wait: what a request's operations do on it.

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/error.hpp>
#include <cerrno>
#include <sockserv/address.hpp>
#include <sockserv/detail/live_requests.hpp>
#include <utility>

#include "../transfer.hpp"
#include "fiber.hpp"
#include "loop.hpp"

namespace sockserv::inline abi_0::fiber {

using detail::WaitLimit;

namespace {

/// How much of a file is sent before others have their turn, to a client that takes it as fast as it is sent.
constexpr std::size_t longest_turn_of_file = std::size_t{2} << 20;

std::size_t size_of(std::span<const iovec> buffers) noexcept {
  std::size_t size = 0;
  for (const iovec& buffer : buffers) size += buffer.iov_len;
  return size;
}

/// For an operation that another thread calls. The kernel knows nothing of the connection's timeouts here.
detail::WaitLimit as_deadline(detail::WaitLimit limit) noexcept { return detail::WaitLimit(limit.deadline()); }

}  // namespace

bool Fiber::runs_here() const noexcept { return loop_.is_running(*this); }

bool Fiber::park_for_readiness(int descriptor, Parked parked, WaitLimit& limit, error_code& error) noexcept {
  if (watched_ != descriptor || descriptor < 0) {  // a closed one is refused
    error = loop_.watch(descriptor, *this);
    if (error) return false;
    watched_ = descriptor;
  }
  if (limit.is_at_once() || !park(parked, limit.deadline())) error = errc::timed_out;
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

std::size_t Fiber::receive(int descriptor, std::span<const iovec> buffers, WaitLimit limit,
                           error_code& error) noexcept {
  if (!runs_here()) {
    // Never by a call that blocks: where the fiber sends from a file, the socket is one that does not, for moments.
    return detail::receive_until(limit, detail::thread_scheduler(), descriptor, buffers, error);
  }
  give_turn();
  error.clear();
  for (;;) {
    if (!readable_ && !park_for_readiness(descriptor, Parked::to_receive, limit, error)) return 0;
    if (const auto count = try_to_receive(descriptor, buffers, error)) return *count;
  }
}

std::size_t Fiber::receive_more(int descriptor, detail::InputBuffer& buffer, detail::LiveRequest* idle, WaitLimit limit,
                                error_code& error) {
  if (!runs_here()) return Transport::receive_more(descriptor, buffer, idle, limit, error);
  give_turn();
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
std::size_t Fiber::send_by(const Attempt& attempt, int descriptor, WaitLimit limit, error_code& error) noexcept {
  give_turn();
  error.clear();
  for (;;) {
    if (!writable_ && !park_for_readiness(descriptor, Parked::to_send, limit, error)) return 0;
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

std::size_t Fiber::send(int descriptor, std::span<const iovec> buffers, WaitLimit limit, error_code& error) noexcept {
  if (!runs_here()) return detail::blocking().send(descriptor, buffers, as_deadline(limit), error);
  return send_by([&] { return detail::send_from(descriptor, buffers, MSG_DONTWAIT); }, descriptor, limit, error);
}

std::size_t Fiber::send_file(int descriptor, int file, std::uint64_t offset, std::size_t count, WaitLimit limit,
                             error_code& error) noexcept {
  if (!runs_here()) return detail::blocking().send_file(descriptor, file, offset, count, as_deadline(limit), error);
  const std::size_t turn = std::min(count, longest_turn_of_file);
  const auto attempt = [&] { return detail::send_from_file(descriptor, file, offset, turn, false); };
  const std::size_t sent = send_by(attempt, descriptor, limit, error);
  return error == boost::asio::error::invalid_argument
             ? Transport::send_file(descriptor, file, offset, count, limit, error)
             : sent;
}

void Fiber::release(int descriptor) noexcept {
  if (watched_ != descriptor) return;
  loop_.stop_watching(descriptor);
  watched_ = -1;
}

void Fiber::send_to(int descriptor, std::string_view packet, const Address& address, const detail::Host& source,
                    error_code& error) noexcept {
  if (!runs_here()) return detail::blocking().send_to(descriptor, packet, address, source, error);
  give_turn();
  detail::send_packet_patiently(*this, descriptor, packet, address, source, error);
}

void Fiber::wait_until_ready(int descriptor, short events, WaitLimit limit, error_code& error) noexcept {
  if (!runs_here()) return wait_for_descriptor(descriptor, events, limit.deadline(), error);
  const bool to_receive = (events & POLLIN) != 0;
  const bool to_send = (events & POLLOUT) != 0;
  const Parked parked = !to_send ? Parked::to_receive : !to_receive ? Parked::to_send : Parked::to_receive_or_send;
  error.clear();
  // An event may be an old one, so whether there is input is asked for. Room is found by trying.
  while (!(to_send && writable_) && !(to_receive && has_input(descriptor))) {
    if (!park_for_readiness(descriptor, parked, limit, error)) return;
  }
}

bool Fiber::has_input(int descriptor) noexcept {
  const bool readable = detail::is_readable(descriptor);
  if (runs_here()) readable_ = readable;
  return readable;
}

void Fiber::take_turns() noexcept {
  if (runs_here()) give_turn();
}

/// What is known of the fiber's own connection stays as it is. An event of either counts for both: at worst it makes
/// for one attempt that finds nothing.
void Fiber::wait_for_descriptor(int descriptor, short events, time_point deadline, error_code& error) noexcept {
  if (!runs_here()) return detail::thread_scheduler().wait_for_descriptor(descriptor, events, deadline, error);
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

bool Fiber::sleep_until(time_point time, detail::LiveRequests* live) {
  if (!runs_here()) return detail::thread_scheduler().sleep_until(time, live);
  while (now() < time) {
    if (aborted_) return false;
    park(Parked::to_be_woken, time);
  }
  return true;
}

void Fiber::offload(const std::function<void()>& work) {
  if (!runs_here()) return work();

  struct Work final : detail::Task {
    const std::function<void()>& work;
    Fiber& fiber;
    detail::RequestScope* scope;
    OperationMemory& memory;
    bool& done;

    Work(const std::function<void()>& what, Fiber& whose, OperationMemory& for_wake, bool& is_done)
        : work(what), fiber(whose), scope(detail::RequestScope::current()), memory(for_wake), done(is_done) {}

    bool run() override {
      detail::RequestScope::current() = scope;  // the fiber, which owns it, waits for us
      work();
      detail::RequestScope::current() = nullptr;
      fiber.loop_.post(memory, [&fiber = fiber, &done = done] {
        done = true;
        fiber.wake();
      });
      return true;
    }
  };
  OperationMemory memory;
  bool done = false;
  std::unique_ptr<detail::Task> task = std::make_unique<Work>(work, *this, memory, done);
  loop_.owner().offload(task);
  while (wait_until_done(done, detail::no_deadline, nullptr) != Outcome::done) continue;
}

boost::asio::io_context& Fiber::context() {
  return runs_here() ? loop_.context() : detail::thread_scheduler().context();
}

Fiber::Outcome Fiber::wait_until_done(const bool& done, time_point deadline, detail::LiveRequests* live) {
  if (!runs_here()) return detail::thread_scheduler().wait_until_done(done, deadline, live);
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

}  // namespace sockserv::inline abi_0::fiber
