#include <sockserv/connection.hpp>

#include <netinet/tcp.h>

#include <algorithm>
#include <boost/asio/error.hpp>
#include <cerrno>
#include <limits>
#include <sockserv/detail/deadline.hpp>
#include <sockserv/detail/server_socket.hpp>
#include <sockserv/options.hpp>
#include <stdexcept>

namespace sockserv::inline abi_0 {
namespace {

/// No receive gives more than a socket's buffer holds, so there is no need of memory for more.
constexpr std::size_t most_received = std::size_t{8} << 20;

iovec vector_of(boost::asio::const_buffer buffer) noexcept { return {const_cast<void*>(buffer.data()), buffer.size()}; }

}  // namespace

Connection::Connection(detail::Descriptor socket, const Address& peer, detail::Transport& transport)
    : socket_(std::move(socket)), transport_(&transport), peer_(peer) {}

void Connection::enter(detail::LiveRequests& all, detail::Counters& counters, const ServerOptions& options) {
  live_.enter(all, counters, fileno());
  if (options.idle_timeout || options.request_timeout || options.min_receive_rate > 0) {
    limits_ = detail::ClientLimits(options, detail::now());
  }
}

/// Does what may have to wait, `operation(limit)`, and aborts the connection if a limit of the server's is passed.
/// Apart, so that operations without limits need no room on the stack for it.
template <class Operation>
[[gnu::noinline]] std::size_t Connection::within_limits(std::optional<std::size_t> item, const Operation& operation,
                                                        error_code& error) {
  const auto begun = detail::now();
  if (const auto limit = limits_.passed(begun)) {
    abort(*limit, error);
    return 0;
  }
  const auto timeout = (item ? timeouts_.receive : timeouts_.send).timeout();
  auto deadline = limits_.deadline(begun, timeout, item);
  for (;;) {
    const std::size_t count = operation(detail::WaitLimit(deadline.at));
    if (error != errc::timed_out) {
      if (count > 0) item ? limits_.has_sent(count, detail::now()) : limits_.has_taken(detail::now());
      return count;
    }
    // Another thread may have heard from the client meanwhile.
    deadline = limits_.deadline(begun, timeout, item);
    if (detail::now() < deadline.at) continue;
    if (deadline.meaning != errc::timed_out) abort(deadline.meaning, error);
    return 0;
  }
}

void Connection::abort(errc limit, error_code& error) noexcept {
  error = limit;
  if (!limits_.note_passed(limit)) return;
  if (auto* const counters = live_.counters()) {
    detail::count(limit == errc::idle_too_long      ? counters->aborted_idle_timeout
                  : limit == errc::request_too_long ? counters->aborted_request_timeout
                  : limit == errc::prepare_too_long ? counters->aborted_prepare_timeout
                                                    : counters->aborted_receive_rate);
  }
  ::shutdown(fileno(), SHUT_RDWR);
}

/// Something was to be received, and nothing was, though there was no error.
void Connection::note_end() noexcept {
  if (!live_.has_ended_receiving()) has_ended_ = true;
}

std::size_t Connection::receive_some(std::span<const iovec> buffers, std::size_t item, error_code& error) noexcept {
  const auto receive = [&](auto limit) { return transport_->receive(fileno(), buffers, limit, error); };
  const std::size_t count = limits_ ? within_limits(item, receive, error) : receive(timeouts_.receive);
  live_.received(count);
  if (count == 0 && !error &&
      std::any_of(buffers.begin(), buffers.end(), [](const iovec& each) { return each.iov_len > 0; }))
    note_end();
  return count;
}

std::size_t Connection::receive_more(detail::InputBuffer& buffer, std::size_t item, detail::WaitsFor awaited,
                                     error_code& error) {
  const bool is_idle = awaited != detail::WaitsFor::more && live_.counters();
  if (is_idle && awaited == detail::WaitsFor::first_request && live_.grace() > duration::zero()) {
    return receive_first(buffer, error);
  }
  detail::LiveRequest* const idle = is_idle ? &live_ : nullptr;
  const auto receive = [&](auto limit) { return transport_->receive_more(fileno(), buffer, idle, limit, error); };
  const std::size_t count = limits_ ? within_limits(item, receive, error) : receive(timeouts_.receive);
  live_.received(count);
  return count;
}

/// The connection is a new one until its grace is over, and an idle one from then on.
std::size_t Connection::receive_first(detail::InputBuffer& buffer, error_code& error) {
  const auto grace_end = detail::deadline_after(live_.grace());
  live_.set_new(true);
  const auto receive = [&](detail::WaitLimit limit) {
    const auto attempt = [&](auto until) {
      return transport_->receive_more(fileno(), buffer, &live_, detail::WaitLimit(until), error);
    };
    const auto end = limit.deadline();
    if (live_.is_new()) {
      const std::size_t count = attempt(std::min(end, grace_end));
      if (error != errc::timed_out || end <= grace_end) return count;
      live_.set_new(false);
    }
    return attempt(end);
  };
  const std::size_t count = limits_ ? within_limits(0, receive, error) : receive(timeouts_.receive);
  live_.set_new(false);
  live_.received(count);
  return count;
}

std::size_t Connection::send_some(std::span<const iovec> buffers, error_code& error) noexcept {
  const auto send = [&](auto limit) { return transport_->send(fileno(), buffers, limit, error); };
  const std::size_t count = limits_ ? within_limits({}, send, error) : send(timeouts_.send);
  live_.sent(count);
  return count;
}

std::size_t Connection::send_some_unless_input(std::span<const iovec> buffers, error_code& error) noexcept {
  const auto send = [&](auto limit) { return transport_->send_unless_input(fileno(), buffers, limit, error); };
  const std::size_t count = limits_ ? within_limits({}, send, error) : send(timeouts_.send);
  live_.sent(count);
  return count;
}

std::size_t Connection::send_some_of_file(int file, std::uint64_t offset, std::size_t count,
                                          error_code& error) noexcept {
  const auto send = [&](auto limit) { return transport_->send_file(fileno(), file, offset, count, limit, error); };
  const std::size_t sent = limits_ ? within_limits({}, send, error) : send(timeouts_.send);
  live_.sent(sent);
  return sent;
}

std::string Connection::recv(std::size_t max) {
  std::string bytes(std::min(max, most_received), '\0');
  bytes.resize(recv(boost::asio::buffer(bytes)));
  return bytes;
}

std::size_t Connection::recv(boost::asio::mutable_buffer buffer) {
  error_code error;
  const std::size_t count = recv(buffer, error);
  detail::check(error, "recv");
  return count;
}

std::size_t Connection::recv(boost::asio::mutable_buffer buffer, error_code& error) noexcept {
  const iovec target = vector_of(buffer);
  return receive_some({&target, 1}, 0, error);
}

std::size_t Connection::recv_exactly(boost::asio::mutable_buffer buffer) {
  error_code error;
  const std::size_t count = recv_exactly(buffer, error);
  detail::check(error, "recv_exactly");
  return count;
}

std::size_t Connection::recv_exactly(boost::asio::mutable_buffer buffer, error_code& error) noexcept {
  error.clear();
  std::size_t received = 0;
  while (received < buffer.size()) {
    const iovec target = vector_of(buffer + received);
    const std::size_t count = receive_some({&target, 1}, received, error);
    if (error) break;
    if (count == 0) {
      error = errc::end_of_stream;
      break;
    }
    received += count;
  }
  return received;
}

std::size_t Connection::send(boost::asio::const_buffer bytes) {
  error_code error;
  const std::size_t count = send(bytes, error);
  detail::check(error, "send");
  return count;
}

std::size_t Connection::send(boost::asio::const_buffer bytes, error_code& error) noexcept {
  const iovec source = vector_of(bytes);
  return send_some({&source, 1}, error);
}

std::size_t Connection::sendall(std::string_view bytes) {
  error_code error;
  const std::size_t sent = sendall(bytes, error);
  detail::check(error, "sendall");
  return sent;
}

std::size_t Connection::sendall(std::string_view bytes, error_code& error) noexcept {
  iovec source{const_cast<char*>(bytes.data()), bytes.size()};
  return send_chunk({&source, 1}, error);
}

std::size_t Connection::send_chunk(std::span<iovec> chunk, error_code& error) noexcept {
  error.clear();
  std::size_t sent = 0;
  while (!chunk.empty()) {
    if (chunk.front().iov_len == 0) {
      chunk = chunk.subspan(1);
      continue;
    }
    std::size_t count = send_some(chunk, error);
    if (error) break;
    sent += count;
    while (!chunk.empty() && count >= chunk.front().iov_len) {
      count -= chunk.front().iov_len;
      chunk = chunk.subspan(1);
    }
    if (count > 0) {
      chunk.front().iov_base = static_cast<char*>(chunk.front().iov_base) + count;
      chunk.front().iov_len -= count;
    }
  }
  return sent;
}

std::size_t Connection::sendfile(int file, std::uint64_t offset, std::optional<std::size_t> count) {
  error_code error;
  const std::size_t sent = sendfile(file, offset, count, error);
  detail::check(error, "sendfile");
  return sent;
}

std::size_t Connection::sendfile(int file, std::uint64_t offset, std::optional<std::size_t> count,
                                 error_code& error) noexcept {
  error.clear();
  const std::size_t wanted = count.value_or(std::numeric_limits<std::size_t>::max());
  std::size_t sent = 0;
  while (sent < wanted) {
    const std::size_t some = send_some_of_file(file, offset + sent, wanted - sent, error);
    sent += some;
    if (error || some == 0) break;
  }
  return sent;
}

void Connection::settimeout(std::optional<duration> limit, int how) {
  error_code error;
  settimeout(limit, how, error);
  detail::check(error, "settimeout");
}

void Connection::settimeout(std::optional<duration> limit, int how, error_code& error) {
  if (limit && *limit <= duration::zero()) {
    throw std::invalid_argument("settimeout: a timeout must be positive; no timeout is std::nullopt");
  }
  detail::Timeouts changed = timeouts_;
  changed.set(limit, how);
  transport_->timeouts_changed(fileno(), changed, error);
  if (!error) timeouts_ = changed;
}

void Connection::use_transport(detail::Transport& transport) noexcept {
  const bool has_timeouts = timeouts_ != detail::Timeouts();  // a hook has set them before
  error_code ignored;
  if (has_timeouts) transport_->timeouts_changed(fileno(), {}, ignored);
  if (wrapper_) {
    wrapper_->put_around(transport);
  } else {
    transport_ = &transport;
  }
  if (has_timeouts) transport_->timeouts_changed(fileno(), timeouts_, ignored);
}

void detail::wrap(Connection& connection, std::unique_ptr<TransportWrapper> wrapper) noexcept {
  wrapper->put_around(*connection.transport_, std::move(connection.wrapper_));
  connection.transport_ = wrapper.get();
  connection.wrapper_ = std::move(wrapper);
}

void Connection::set_no_delay(bool on) {
  error_code error;
  set_no_delay(on, error);
  detail::check(error, "set_no_delay");
}

void Connection::set_no_delay(bool on, error_code& error) noexcept {
  error.clear();
  if (!peer_.is_ip()) return;
  const int value = on;
  if (::setsockopt(fileno(), IPPROTO_TCP, TCP_NODELAY, &value, sizeof value) != 0) {
    error = detail::last_system_error();
  }
}

void Connection::shutdown(int how) {
  error_code error;
  shutdown(how, error);
  detail::check(error, "shutdown");
}

void Connection::shutdown(int how, error_code& error) noexcept {
  error.clear();
  if (how != SHUT_WR) live_.note_receiving_ended();
  if (::shutdown(fileno(), how) != 0) error = detail::last_system_error();
}

void Connection::close() noexcept {
  admission_.end();  // before: once none is registered, the process may exit, and it must have counted
  live_.leave();
  limits_ = {};  // what follows is refused as on any closed socket
  socket_.reset();
}

Address Connection::getsockname() const {
  error_code error;
  Address address = getsockname(error);
  detail::check(error, "getsockname");
  return address;
}

Address Connection::getsockname(error_code& error) const noexcept { return detail::local_address(fileno(), error); }

PeerCredentials Connection::peer_credentials() const {
  error_code error;
  const PeerCredentials credentials = peer_credentials(error);
  detail::check(error, "peer_credentials");
  return credentials;
}

PeerCredentials Connection::peer_credentials(error_code& error) const noexcept {
  int domain = AF_UNSPEC;
  socklen_t length = sizeof domain;
  ucred credentials{};
  if (::getsockopt(fileno(), SOL_SOCKET, SO_DOMAIN, &domain, &length) != 0) {
    error = detail::last_system_error();
  } else if (domain != AF_UNIX) {
    error = boost::asio::error::operation_not_supported;
  } else {
    error.clear();
    length = sizeof credentials;
    if (::getsockopt(fileno(), SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0) {
      error = detail::last_system_error();
    }
  }
  return {credentials.pid, credentials.uid, credentials.gid};
}

}  // namespace sockserv::inline abi_0
