#include <sockserv/client.hpp>

#include <fcntl.h>
#include <poll.h>
#include <sys/un.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <cerrno>
#include <memory>
#include <sockserv/await.hpp>
#include <sockserv/detail/deadline.hpp>
#include <sockserv/detail/live_requests.hpp>
#include <sockserv/detail/request_scope.hpp>
#include <sockserv/detail/scheduler.hpp>
#include <sockserv/detail/server_socket.hpp>
#include <stdexcept>
#include <thread>
#include <utility>

#include "../socket/resolve.hpp"
#include "../transport/client.hpp"
#include "../transport/transfer.hpp"

namespace sockserv::inline abi_0 {
namespace {

using boost::asio::ip::tcp;
using std::chrono::milliseconds;
using std::chrono::steady_clock;
using time_point = steady_clock::time_point;

time_point deadline_of(std::optional<steady_clock::duration> timeout, const char* caller) {
  if (!timeout) return time_point::max();
  if (*timeout <= steady_clock::duration::zero()) {
    throw std::invalid_argument(std::string(caller) + ": a timeout must be positive; no timeout is std::nullopt");
  }
  return detail::deadline_after(*timeout);
}

/// Throws if the server aborts the handler that is calling.
void check_aborted(const char* caller) {
  const auto* const requests = detail::requests_of_caller();
  if (requests && requests->are_aborted()) detail::throw_request_error(errc::aborted, caller);
}

void fill_standard_descriptors_once() noexcept {
  [[maybe_unused]] static const bool filled = (detail::fill_standard_descriptors(), true);
}

using Endpoints = tcp::resolver::results_type;

Endpoints look_up_in_handler(const std::string& host, time_point deadline) {
  tcp::resolver resolver(this_request::executor());
  try {
    return await([&](auto token) { return resolver.async_resolve(host, "", token); }, deadline - detail::now());
  } catch (const timeout_error&) {
    throw timeout_error("looking up host '" + host + "'");
  } catch (const limit_error&) {
    throw;
  } catch (const boost::system::system_error& failure) {
    detail::throw_cannot_resolve(host, failure.code());
  }
}

Endpoints look_up_in_plain_thread(const std::string& host, time_point deadline) {
  fill_standard_descriptors_once();  // Asio is about to open some
  auto context = std::make_unique<boost::asio::io_context>(1);
  std::optional<error_code> error;
  Endpoints endpoints;
  {
    tcp::resolver resolver(*context);
    resolver.async_resolve(host, "", [&](const error_code& outcome, Endpoints found) {
      error = outcome;
      endpoints = std::move(found);
    });
    context->run_until(deadline);
  }
  if (!error) {
    // The look-up itself cannot be cancelled, and the context's destructor waits for it: here, if there is no thread.
    detail::error_of([&] { std::thread([context = std::move(context)] {}).detach(); });
    throw timeout_error("looking up host '" + host + "'");
  }
  if (*error) detail::throw_cannot_resolve(host, *error);
  return endpoints;
}

}  // namespace

Destination::Destination(std::string_view host, int port) {
  if (host.empty()) throw std::invalid_argument("the host to connect to is empty; this machine is \"localhost\"");
  detail::check_port(port, 1);
  if (detail::numeric_host(host)) {
    addresses_ = {Address(host, port)};
  } else {
    host_ = host;
    port_ = static_cast<std::uint16_t>(port);
  }
}

Destination::Destination(const Address& address) : Destination(std::vector{address}) {}

Destination::Destination(std::vector<Address> addresses) : addresses_(std::move(addresses)) {
  if (addresses_.empty()) throw std::invalid_argument("there is no address to connect to");
  for (const Address& address : addresses_) {
    if (address.empty()) throw std::invalid_argument("the address to connect to is empty");
    if (address.is_ip()) detail::check_port(address.port(), 1);
  }
}

std::vector<Address> Destination::addresses(time_point deadline) const {
  if (!addresses_.empty()) return addresses_;
  const bool in_handler = detail::requests_of_caller() != nullptr;
  std::vector<Address> all;
  for (const auto& entry :
       in_handler ? look_up_in_handler(host_, deadline) : look_up_in_plain_thread(host_, deadline)) {
    const tcp::endpoint endpoint(entry.endpoint().address(), port_);
    all.push_back(Address::from_native(endpoint.data(), static_cast<socklen_t>(endpoint.size())));
  }
  return all;
}

std::string Destination::to_string() const {
  if (addresses_.empty()) return host_ + ":" + std::to_string(port_);
  std::string all;
  for (const Address& address : addresses_) all += (all.empty() ? "" : ", ") + address.to_string();
  return all;
}

ClientConnection create_connection(const Destination& destination, std::optional<ClientConnection::duration> timeout,
                                   const StreamSettings& settings) {
  return {destination, timeout, settings};
}

ClientConnection::ClientConnection(const Destination& destination, std::optional<duration> timeout,
                                   const StreamSettings& settings)
    : connection({}, {}, detail::client_transport()) {
  connect(destination, deadline_of(timeout, "create_connection"));
  detail::apply(settings, connection, rfile, wfile);
}

void ClientConnection::connect(const Destination& destination, time_point deadline) {
  const std::string name = destination.to_string();
  const std::vector<Address> addresses = destination.addresses(deadline);
  std::string failures;
  error_code error;
  for (std::size_t i = 0; i < addresses.size(); ++i) {
    const time_point now = detail::now();
    const auto left = static_cast<steady_clock::rep>(addresses.size() - i);
    error = connect_to(addresses[i], deadline == time_point::max() ? deadline : now + (deadline - now) / left);
    if (!error) return;
    failures += (i == 0 ? "" : "; ") + addresses[i].to_string() + ": " + error.message();
  }
  connection.close();
  const bool says_all = addresses.size() == 1 && addresses.front().to_string() == name;
  const std::string message = "cannot connect to " + (says_all ? name : name + " (" + failures + ")");
  if (error == errc::timed_out) throw timeout_error(message);
  detail::throw_error(error, message);
}

error_code ClientConnection::connect_to(const Address& address, time_point deadline) {
  fill_standard_descriptors_once();
  detail::Descriptor descriptor(::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!descriptor) return detail::last_system_error();
  const int socket = descriptor.get();
  connection = Connection(std::move(descriptor), address, detail::client_transport());
  if (auto* const requests = detail::requests_of_caller()) connection.enter_uncounted(*requests);
  for (milliseconds pause(1);;) {
    if (::connect(socket, address.data(), address.size()) == 0 || errno == EISCONN) break;
    error_code error = detail::last_system_error();
    if (detail::would_block() && address.is_unix()) {
      // Its backlog is full, and there is no telling when that changes.
      if (detail::now() >= deadline) return errc::timed_out;
      detail::scheduler_of_caller().sleep_until(std::min(deadline, detail::now() + pause),
                                                detail::requests_of_caller());
      pause = std::min(2 * pause, milliseconds(50));
    } else if (errno == EINPROGRESS || errno == EALREADY || errno == EINTR) {
      detail::scheduler_of_caller().wait_for_descriptor(socket, POLLOUT, deadline, error);
      if (error) return error;
    } else {
      return error;
    }
    check_aborted("create_connection");
  }
  error_code error;
  // Two ends of one socket: the kernel has chosen the port that was asked for, and nobody listens there.
  if (address.is_ip() && connection.getsockname(error) == address) return boost::asio::error::connection_refused;
  if (::fcntl(socket, F_SETFL, 0) != 0) return detail::last_system_error();  // no longer O_NONBLOCK
  return {};
}

ClientConnection::~ClientConnection() {
  detail::error_of([this] { close(); });
}

void ClientConnection::shutdown(int how) {
  wfile.flush();
  connection.shutdown(how);
}

void ClientConnection::close() {
  if (connection.fileno() < 0) return;
  const auto error = detail::error_of([this] { wfile.flush(); });
  error_code ignored;
  connection.shutdown(SHUT_RDWR, ignored);  // a process that was forked meanwhile has a copy of the descriptor
  connection.close();
  if (error) std::rethrow_exception(error);
}

DatagramEndpoint::DatagramEndpoint(const Destination& server)
    : server_((fill_standard_descriptors_once(), server.addresses().front())),
      socket_(std::make_shared<detail::ServerSocket>(server_, SOCK_DGRAM), detail::client_transport()) {
  if (!server_.is_unix()) return;
  const sockaddr_un any{AF_UNIX, {}};  // with no name at all, one is chosen
  if (::bind(fileno(), reinterpret_cast<const sockaddr*>(&any), sizeof any.sun_family) != 0) {
    detail::throw_error(detail::last_system_error(), "cannot bind a datagram endpoint");
  }
}

DatagramEndpoint::Packet DatagramEndpoint::receive(std::optional<duration> timeout) {
  const time_point deadline = deadline_of(timeout, "receive");
  detail::LiveRequest live;
  if (auto* const requests = detail::requests_of_caller()) live.enter_uncounted(*requests, fileno());
  error_code error;
  for (;;) {
    check_aborted("receive");
    const std::size_t size =
        detail::retry([&] { return ::recv(fileno(), nullptr, 0, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT); }, error);
    if (error == errc::timed_out) {
      detail::scheduler_of_caller().wait_for_descriptor(fileno(), POLLIN, deadline, error);
      detail::check(error, "receive");
      continue;
    }
    detail::check(error, "receive");
    std::string content(size, '\0');
    sockaddr_storage storage;
    auto* const sender = reinterpret_cast<sockaddr*>(&storage);
    socklen_t length = sizeof storage;
    detail::retry([&] { return ::recvfrom(fileno(), content.data(), size, MSG_DONTWAIT, sender, &length); }, error);
    detail::check(error, "receive");
    return {std::move(content), Address::from_native(sender, length)};
  }
}

}  // namespace sockserv::inline abi_0
