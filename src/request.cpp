#include <sockserv/request.hpp>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <boost/asio/error.hpp>
#include <cerrno>
#include <sockserv/detail/server_socket.hpp>
#include <stdexcept>

namespace sockserv {
namespace {

iovec vector_of(boost::asio::const_buffer buffer) noexcept { return {const_cast<void*>(buffer.data()), buffer.size()}; }

}  // namespace

StreamRequest::StreamRequest(detail::Descriptor socket, const Address& peer, detail::Waiting& waiting)
    : socket_(std::move(socket)), waiting_(&waiting), peer_(peer) {}

StreamRequest& StreamRequest::operator=(StreamRequest&& other) noexcept {
  if (this != &other) {
    close();
    socket_ = std::move(other.socket_);
    live_ = std::move(other.live_);
    waiting_ = other.waiting_;
    timeout_ = other.timeout_;
    peer_ = other.peer_;
  }
  return *this;
}

std::string StreamRequest::recv(std::size_t max) {
  std::string bytes(max, '\0');
  bytes.resize(recv(boost::asio::buffer(bytes)));
  return bytes;
}

std::size_t StreamRequest::recv(boost::asio::mutable_buffer buffer) {
  error_code error;
  const std::size_t count = recv(buffer, error);
  detail::check(error, "recv");
  return count;
}

std::size_t StreamRequest::recv(boost::asio::mutable_buffer buffer, error_code& error) noexcept {
  const iovec target = vector_of(buffer);
  return waiting_->receive(fileno(), {&target, 1}, detail::Waiting::no_deadline, error);
}

std::size_t StreamRequest::recv_exactly(boost::asio::mutable_buffer buffer) {
  error_code error;
  const std::size_t count = recv_exactly(buffer, error);
  detail::check(error, "recv_exactly");
  return count;
}

std::size_t StreamRequest::recv_exactly(boost::asio::mutable_buffer buffer, error_code& error) noexcept {
  error.clear();
  std::size_t received = 0;
  while (received < buffer.size()) {
    const std::size_t count = recv(buffer + received, error);
    if (error) break;
    if (count == 0) {
      error = errc::end_of_stream;
      break;
    }
    received += count;
  }
  return received;
}

std::size_t StreamRequest::send(boost::asio::const_buffer bytes) {
  error_code error;
  const std::size_t count = send(bytes, error);
  detail::check(error, "send");
  return count;
}

std::size_t StreamRequest::send(boost::asio::const_buffer bytes, error_code& error) noexcept {
  const iovec source = vector_of(bytes);
  return waiting_->send(fileno(), {&source, 1}, detail::Waiting::no_deadline, error);
}

std::size_t StreamRequest::sendall(std::string_view bytes) {
  error_code error;
  const std::size_t sent = sendall(bytes, error);
  detail::check(error, "sendall");
  return sent;
}

std::size_t StreamRequest::sendall(std::string_view bytes, error_code& error) noexcept {
  iovec source{const_cast<char*>(bytes.data()), bytes.size()};
  return send_chunk({&source, 1}, error);
}

std::size_t StreamRequest::send_chunk(std::span<iovec> chunk, error_code& error) noexcept {
  error.clear();
  std::size_t sent = 0;
  while (!chunk.empty()) {
    if (chunk.front().iov_len == 0) {
      chunk = chunk.subspan(1);
      continue;
    }
    std::size_t count = waiting_->send(fileno(), chunk, detail::Waiting::no_deadline, error);
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

std::size_t StreamRequest::read_chunk(std::span<const iovec> chunk, error_code& error) noexcept {
  const std::size_t count = waiting_->receive(fileno(), chunk, detail::Waiting::no_deadline, error);
  if (count == 0 && !error) error = boost::asio::error::eof;
  return count;
}

std::size_t StreamRequest::receive_more(detail::InputBuffer& buffer, error_code& error) {
  return waiting_->receive_more(fileno(), buffer, detail::Waiting::no_deadline, error);
}

void StreamRequest::settimeout(std::optional<duration> limit) {
  error_code error;
  settimeout(limit, error);
  detail::check(error, "settimeout");
}

void StreamRequest::settimeout(std::optional<duration> limit, error_code& error) {
  if (limit && *limit <= duration::zero()) {
    throw std::invalid_argument("settimeout: a time limit must be positive; no limit is std::nullopt");
  }
  waiting_->set_timeout(fileno(), limit, error);
  if (!error) timeout_ = limit;
}

void StreamRequest::wait_by(detail::Waiting& waiting) noexcept {
  if (timeout_) {  // a hook has set it before
    error_code ignored;
    waiting_->set_timeout(fileno(), std::nullopt, ignored);
    waiting.set_timeout(fileno(), timeout_, ignored);
  }
  waiting_ = &waiting;
}

void StreamRequest::set_no_delay(bool on) {
  error_code error;
  set_no_delay(on, error);
  detail::check(error, "set_no_delay");
}

void StreamRequest::set_no_delay(bool on, error_code& error) noexcept {
  error.clear();
  if (!peer_.is_ip()) return;
  const int value = on;
  if (::setsockopt(fileno(), IPPROTO_TCP, TCP_NODELAY, &value, sizeof value) != 0) {
    error = detail::last_system_error();
  }
}

void StreamRequest::shutdown(int how) {
  error_code error;
  shutdown(how, error);
  detail::check(error, "shutdown");
}

void StreamRequest::shutdown(int how, error_code& error) noexcept {
  error.clear();
  if (::shutdown(fileno(), how) != 0) error = detail::last_system_error();
}

void StreamRequest::close() noexcept {
  live_.leave();
  socket_.reset();
}

Address StreamRequest::getsockname() const {
  error_code error;
  Address address = getsockname(error);
  detail::check(error, "getsockname");
  return address;
}

Address StreamRequest::getsockname(error_code& error) const noexcept { return detail::local_address(fileno(), error); }

PeerCredentials StreamRequest::peer_credentials() const {
  error_code error;
  const PeerCredentials credentials = peer_credentials(error);
  detail::check(error, "peer_credentials");
  return credentials;
}

PeerCredentials StreamRequest::peer_credentials(error_code& error) const noexcept {
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

DatagramSocket::DatagramSocket(std::shared_ptr<detail::ServerSocket> socket, detail::Waiting& waiting) noexcept
    : socket_(std::move(socket)), waiting_(&waiting) {}

void DatagramSocket::sendto(std::string_view packet, const Address& address) {
  error_code error;
  sendto(packet, address, error);
  detail::check(error, "sendto");
}

void DatagramSocket::sendto(std::string_view packet, const Address& address, error_code& error) noexcept {
  if (address.empty()) {
    error = errc::no_reply_address;
    return;
  }
  waiting_->send_to(fileno(), packet, address, error);
}

int DatagramSocket::fileno() const noexcept { return socket_ ? socket_->fileno() : -1; }

Address DatagramSocket::getsockname() const {
  error_code error;
  Address address = detail::local_address(fileno(), error);
  detail::check(error, "getsockname");
  return address;
}

}  // namespace sockserv
