#include <netinet/in.h>

#include <sockserv/datagram.hpp>
#include <sockserv/detail/server_socket.hpp>
#include <sockserv/options.hpp>

namespace sockserv::inline abi_0 {
namespace {

/// Returns the address that an IP socket is bound to; empty for other sockets.
Address own_ip_address(int socket) noexcept {
  error_code error;
  const Address address = detail::local_address(socket, error);
  return address.is_ip() ? address : Address();
}

}  // namespace

DatagramSocket::DatagramSocket(std::shared_ptr<detail::ServerSocket> socket, detail::Transport& transport,
                               const detail::PacketInfo& info) noexcept
    : socket_(std::move(socket)), transport_(&transport), info_(info) {}

void DatagramSocket::sendto(std::string_view packet, const Address& address) {
  error_code error;
  sendto(packet, address, error);
  detail::check(error, "sendto");
}

void DatagramSocket::sendto(std::string_view packet, const Address& address, error_code& error) noexcept {
  send_from(info_.source_for(address), packet, address, error);
}

void DatagramSocket::sendto(std::string_view packet, const Address& address, const Address& from) {
  error_code error;
  sendto(packet, address, from, error);
  if (error) {
    detail::throw_request_error(error, "sendto " + address.to_string() + " from " + from.to_string());
  }
}

void DatagramSocket::sendto(std::string_view packet, const Address& address, const Address& from,
                            error_code& error) noexcept {
  detail::Host source = detail::Host::of(from.data());
  if (source.is_ipv4() && source.ipv4().s_addr == INADDR_ANY) source.address = {};
  send_from(source, packet, address, error);
}

void DatagramSocket::send_from(const detail::Host& source, std::string_view packet, const Address& address,
                               error_code& error) noexcept {
  if (address.empty()) {
    error = errc::no_reply_address;
    return;
  }
  transport_->send_to(fileno(), packet, address, source, error);
  if (counters_ && !error) detail::count(counters_->bytes_out, packet.size());
}

void Datagram::enter(detail::LiveRequests& all, detail::Counters& counters, const ServerOptions&) {
  live_.enter(all, counters, -1);
  detail::count(counters.bytes_in, packet_.size());
  socket_.counters_ = &counters;
}

Address Datagram::sent_to() const noexcept { return socket_.info_.sent_to(own_ip_address(socket_.fileno())); }

Address Datagram::local_address() const noexcept {
  return socket_.info_.answered_from(own_ip_address(socket_.fileno()));
}

int DatagramSocket::fileno() const noexcept { return socket_ ? socket_->fileno() : -1; }

Address DatagramSocket::getsockname() const {
  error_code error;
  Address address = detail::local_address(fileno(), error);
  detail::check(error, "getsockname");
  return address;
}

}  // namespace sockserv::inline abi_0
