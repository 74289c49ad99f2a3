#include <sockserv/detail/clock.hpp>
#include <sockserv/detail/transport.hpp>

#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/error.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <cerrno>
#include <limits>
#include <memory>
#include <new>
#include <sockserv/address.hpp>
#include <sockserv/detail/contexts.hpp>
#include <sockserv/detail/live_requests.hpp>

#include "transfer.hpp"

namespace sockserv::detail {
namespace {

class Blocking final : public Transport {
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

  std::size_t send_unless_input(int descriptor, std::span<const iovec> buffers, time_point deadline,
                                error_code& error) noexcept override {
    return send_until_input(deadline, *this, descriptor, buffers, error);
  }

  std::size_t send_file(int descriptor, int file, std::uint64_t offset, std::size_t count, time_point deadline,
                        error_code& error) noexcept override {
    const bool may_wait = deadline == no_deadline;
    const auto attempt = [&] { return send_from_file(descriptor, file, offset, count, may_wait); };
    const std::size_t sent =
        may_wait ? retry(attempt, error) : retry_until(deadline, *this, descriptor, POLLOUT, attempt, error);
    return error == boost::asio::error::invalid_argument
               ? Transport::send_file(descriptor, file, offset, count, deadline, error)
               : sent;
  }

  void send_to(int descriptor, std::string_view packet, const Address& address, const Host& source,
               error_code& error) noexcept override {
    retry([&] { return send_packet(descriptor, packet, address, source, 0); }, error);
  }

  void set_timeout(int descriptor, std::optional<duration> limit, int how, error_code& error) noexcept override {
    // A zero timeval means no limit, so a limit below a microsecond becomes one microsecond.
    const auto microseconds =
        limit ? std::max<std::int64_t>(1, std::chrono::ceil<std::chrono::microseconds>(*limit).count()) : 0;
    timeval value{};
    value.tv_sec = microseconds / 1'000'000;
    value.tv_usec = microseconds % 1'000'000;
    error.clear();
    const auto set = [&](int option) {
      if (::setsockopt(descriptor, SOL_SOCKET, option, &value, sizeof value) != 0) error = last_system_error();
    };
    if (how != SHUT_WR) set(SO_RCVTIMEO);
    if (how != SHUT_RD) set(SO_SNDTIMEO);
  }
};

}  // namespace

std::size_t Transport::receive_more(int descriptor, InputBuffer& buffer, LiveRequest* idle, time_point deadline,
                                    error_code& error) {
  if (idle) {
    const LiveRequest::Idle mark(idle);
    char next = 0;
    const auto look = [&](int flags) { return detail::receive(descriptor, &next, 1, MSG_PEEK | flags); };
    if (deadline == no_deadline) {
      retry([&] { return look(0); }, error);
    } else {
      retry_until(deadline, *this, descriptor, POLLIN, [&] { return look(MSG_DONTWAIT); }, error);
    }
    if (error) return 0;
  }
  const std::span<char> room = buffer.room();
  const iovec target{room.data(), room.size()};
  const std::size_t count = receive(descriptor, {&target, 1}, deadline, error);
  buffer.commit(count);
  return count;
}

std::size_t Transport::send_file(int descriptor, int file, std::uint64_t offset, std::size_t count, time_point deadline,
                                 error_code& error) noexcept {
  constexpr std::size_t piece = 65536;
  const std::unique_ptr<char[]> bytes(new (std::nothrow) char[piece]);
  if (!bytes) {
    error = boost::asio::error::no_memory;
    return 0;
  }
  const std::size_t size =
      retry([&] { return ::pread(file, bytes.get(), std::min(count, piece), static_cast<off_t>(offset)); }, error);
  if (error || size == 0) return 0;
  const iovec source{bytes.get(), size};
  return send(descriptor, {&source, 1}, deadline, error);
}

std::size_t Transport::receive_elsewhere(int descriptor, std::span<const iovec> buffers, time_point deadline,
                                         error_code& error) noexcept {
  return blocking().receive(descriptor, buffers, deadline, error);
}

std::size_t Transport::send_elsewhere(int descriptor, std::span<const iovec> buffers, time_point deadline,
                                      error_code& error) noexcept {
  return blocking().send(descriptor, buffers, deadline, error);
}

void Transport::wait_until_ready(int descriptor, short events, time_point deadline, error_code& error) noexcept {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - detail::now()).count();
  pollfd watched{descriptor, events, 0};
  const int ready =
      ::poll(&watched, 1, static_cast<int>(std::clamp<std::int64_t>(left, 0, std::numeric_limits<int>::max())));
  error.clear();
  if (ready == 0 && detail::now() >= deadline) error = errc::timed_out;
}

bool Transport::sleep_until(time_point time, LiveRequests& live) { return !live.wait_until_aborted(time); }

void Transport::run_elsewhere(const std::function<void()>& work) { work(); }

boost::asio::io_context& Transport::context() { return context_of_this_thread(); }

Transport::Outcome Transport::wait_for(const bool& done, time_point deadline, LiveRequests* live) {
  boost::asio::io_context& own = context();
  const auto work = boost::asio::make_work_guard(own);
  own.restart();
  std::atomic<bool> aborted = false;
  std::optional<LiveRequests::AbortAction> on_abort;
  if (live) {
    on_abort.emplace(*live, [&] {
      aborted = true;
      own.stop();
    });
  }
  while (!done) {
    if (aborted) return Outcome::aborted;
    if (deadline == no_deadline) {
      own.run_one();
    } else if (own.run_one_until(deadline) == 0) {
      return aborted ? Outcome::aborted : Outcome::timed_out;
    }
  }
  return Outcome::done;
}

Transport& blocking() noexcept {
  static Blocking transport;
  return transport;
}

}  // namespace sockserv::detail
