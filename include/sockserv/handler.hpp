#pragma once

/// Request handlers: what a user of sockserv writes.

#include <sockserv/connection.hpp>
#include <sockserv/datagram.hpp>
#include <sockserv/detail/request_scope.hpp>
#include <sockserv/export.hpp>
#include <sockserv/files.hpp>
#include <stdexcept>
#include <string_view>
#include <type_traits>
#include <typeinfo>

namespace sockserv::inline abi_0 {

namespace detail {

/// What every handler derives from; tells a class that is a handler from one that is not.
struct SOCKSERV_EXPORT HandlerTag{};

template <class Class>
inline constexpr bool is_handler = std::is_base_of_v<HandlerTag, Class>;

/// The request type of a handler; of something else, any, so that a server's complaint about it stands alone.
template <class Handler>
struct RequestOf {
  using type = Connection;
};
template <class Handler>
  requires is_handler<Handler>
struct RequestOf<Handler> {
  using type = typename Handler::request_type;
};
template <class Handler>
using request_of = typename RequestOf<Handler>::type;

[[noreturn]] SOCKSERV_EXPORT void throw_no_factory(const std::type_info& handler);
[[noreturn]] SOCKSERV_EXPORT void throw_two_ways_to_construct(const std::type_info& handler);
[[noreturn]] SOCKSERV_EXPORT void throw_wrong_server(const AbstractServer& server, const std::type_info& wanted);

}  // namespace detail

/// Serves one request: derive from it, or rather from `StreamRequestHandler` or `DatagramRequestHandler`, and
/// override `handle()`.
///
/// The server constructs a handler for each request and calls `setup()`, `handle()` and `finish()`, in the thread or
/// process that its mixin chooses. Its constructor takes nothing, or what `BaseServer::construct_handlers_with` was
/// given. `request`, `client_address` and `server` are there from the constructor on. Constructing a handler anywhere
/// else throws std::logic_error; `sockserv::testing::converse` runs one without a server.
///
/// `Request` is `Connection` or `Datagram`.
///
/// @par Errors
/// What any of the three hooks throws goes to the server's `handle_error()`, and the server lives on.
///
/// @par Thread safety
/// Each handler object is used by one thread at a time. What handlers share (what they are constructed with, members of
/// the server) they must protect themselves, except without a mixin.
template <class Request>
class SOCKSERV_EXPORT BaseRequestHandler : private detail::HandlerTag {
 public:
  using request_type = Request;

  BaseRequestHandler() : BaseRequestHandler(detail::current_binding<Request>()) {}
  BaseRequestHandler(const BaseRequestHandler&) = delete;
  BaseRequestHandler& operator=(const BaseRequestHandler&) = delete;
  virtual ~BaseRequestHandler() = default;

  /// Called before `handle()`. If it throws, neither `handle()` nor `finish()` is called.
  virtual void setup() {}
  /// Does the work of the request.
  virtual void handle() = 0;
  /// Called after `handle()`, also when that threw. What it throws is dropped then, in favour of the first error.
  virtual void finish() {}

  /// The connection or datagram being served.
  Request& request;
  /// Who sent it; empty for an unbound Unix socket.
  const Address& client_address;
  /// The server. Its stopping functions may be called from here: they never wait for the caller.
  AbstractServer& server;

  /// The server as the class that it is.
  /// @throws std::logic_error if it is not a `Server`.
  template <class Server>
  Server& server_as() {
    if (auto* const as_asked = dynamic_cast<Server*>(&server)) return *as_asked;
    detail::throw_wrong_server(server, typeid(Server));
  }

  /// `setup()`, `handle()`, `finish()`, in that order and under the rules above. Called by the server.
  void run();

 private:
  explicit BaseRequestHandler(const detail::Binding<Request>& bound)
      : request(bound.request), client_address(bound.client_address), server(bound.server) {}
};

extern template class BaseRequestHandler<Connection>;
extern template class BaseRequestHandler<Datagram>;

/// Serves a connection through files: read the request from `rfile`, write the reply to `wfile`.
///
///     struct Upper : sockserv::StreamRequestHandler {
///       void handle() override {
///         for (std::string_view line : rfile) wfile.write(boost::to_upper_copy(std::string(line)));
///       }
///     };
///
/// A derived class changes the settings (`rbufsize`, `wbufsize`, `timeout`, `disable_nagle_algorithm`) in its
/// constructor.
class SOCKSERV_EXPORT StreamRequestHandler : public BaseRequestHandler<Connection>, public StreamSettings {
 public:
  /// Python's second name for `request`.
  Connection& connection = request;

  /// What the client sends.
  InputFile rfile{request, wfile};
  /// What goes to the client.
  OutputFile wfile{request};

  /// For a client that may make several requests: waits between them until the next one begins. False if there will be
  /// none: the client sends no more, or the server has been told to stop.
  ///
  ///     while (wait_for_next_request()) wfile.write(answer_to(rfile.read_exactly(16)));
  ///
  /// A server that stops ends connections that wait here, or begin to; those that wait anywhere else, in `readline`
  /// say, are in the middle of something and are waited for. So it is not to be called while the handler holds a part
  /// of a request. A client that has not been served yet has `ServerOptions::first_request_grace` to begin its first
  /// request, unless the server is stopped by `shutdown()`. What has come before the stop is served; what comes at the
  /// same moment may be met by the end of the stream, as it may be wherever a server ends connections.
  ///
  /// @par Errors
  /// Those of reading from `rfile` and of sending what `wfile` has collected; `timeout_error` is a client that had
  /// nothing to ask for too long.
  bool wait_for_next_request();

  ~StreamRequestHandler() override;

  /// Applies the settings. An override calls this first.
  void setup() override;
  /// Flushes `wfile`. An override calls this last.
  void finish() override;

 private:
  bool has_waited_ = false;  // for a request
};

/// Serves a datagram through files: read the packet from `rfile`, write the reply to `wfile`. The reply is sent to
/// `client_address` as one datagram when `handle()` has returned, if anything was written (be it "").
class SOCKSERV_EXPORT DatagramRequestHandler : public BaseRequestHandler<Datagram> {
 public:
  /// The datagram's content.
  const std::string& packet = request.packet();
  /// The server's socket, for sending more than the one reply, or to others.
  DatagramSocket& socket = request.socket();

  InputFile rfile{packet};
  OutputFile wfile;

  /// Sends the reply. An override calls this last.
  void finish() override;
};

}  // namespace sockserv::inline abi_0
