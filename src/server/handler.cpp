#include <sockserv/handler.hpp>

#include <sockserv/detail/text.hpp>
#include <sockserv/server/abstract.hpp>
#include <utility>

namespace sockserv::inline abi_0 {

void detail::throw_no_factory(const std::type_info& handler) {
  throw std::invalid_argument("handler_factory is empty, and the handler " + type_name(handler) +
                              " has no default constructor; call the server's construct_handlers_with(), or set its "
                              "handler_factory");
}

void detail::throw_two_ways_to_construct(const std::type_info& handler) {
  throw std::invalid_argument(
      "the server has both a handler_factory and the arguments of construct_handlers_with() for " + type_name(handler) +
      "; use one of them");
}

void detail::throw_wrong_server(const AbstractServer& server, const std::type_info& wanted) {
  throw std::logic_error("server_as: the server is a " + type_name(typeid(server)) + ", not a " + type_name(wanted));
}

template <class Request>
void BaseRequestHandler<Request>::run() {
  setup();
  try {
    handle();
  } catch (...) {
    // The handler's own error is the one worth reporting, whatever finish() makes of what it left behind.
    detail::error_of([this] { finish(); });
    throw;
  }
  finish();
}

template class BaseRequestHandler<Connection>;
template class BaseRequestHandler<Datagram>;

StreamRequestHandler::~StreamRequestHandler() { request.left_unread_ = !rfile.buffer_.unread().empty(); }

void StreamRequestHandler::setup() { detail::apply(*this, request, rfile, wfile); }

void StreamRequestHandler::finish() { wfile.flush(); }

bool StreamRequestHandler::wait_for_next_request() {
  const bool is_first = !std::exchange(has_waited_, true);
  if (!rfile.peek(0).empty()) return true;
  if (!request.transport_->has_buffered()) server.expect_stop(request.fileno());
  return rfile.receive_more(0, is_first ? detail::WaitsFor::first_request : detail::WaitsFor::next_request);
}

void DatagramRequestHandler::finish() {
  if (!wfile.written()) return;
  // The answer goes back to the sender, even if a layer has found another client behind it.
  socket.sendto(wfile.pending(), request.sender_ ? *request.sender_ : client_address);
}

}  // namespace sockserv::inline abi_0
