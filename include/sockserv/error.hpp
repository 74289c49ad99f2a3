#pragma once

#include <boost/system/error_code.hpp>
#include <boost/system/system_error.hpp>
#include <exception>
#include <sockserv/export.hpp>
#include <string>

namespace sockserv::inline abi_0 {

/// What went wrong, as a value: the operating system's error (`boost::system::system_category`), an `errc` of
/// sockserv, or `boost::asio::error::eof` from the functions that model Asio's streams.
using error_code = boost::system::error_code;

/// The errors that sockserv itself reports. docs/errors.md lists, for each, who reports it and what to do.
enum class errc {
  /// A timeout passed: `Connection::settimeout()` or a handler's `timeout`. Nothing that had arrived is
  /// lost; reading may go on. Thrown as `timeout_error`. Equivalent to `boost::system::errc::timed_out`.
  timed_out = 1,
  /// The peer closed the connection before all the bytes that were asked for had arrived.
  end_of_stream,
  /// No end of line (or other delimiter) within the limit. The bytes stay in the reader's buffer.
  line_too_long,
  /// A reply to a datagram whose sender has no address (an unbound Unix socket): there is nowhere to send it.
  no_reply_address,
  /// The client kept the handler waiting for longer than `ServerOptions::idle_timeout`. This and the next three are
  /// thrown as `limit_error`; the connection has been shut down.
  idle_too_long,
  /// The connection has lasted for longer than `ServerOptions::request_timeout`.
  request_too_long,
  /// The client sent something more slowly than `ServerOptions::min_receive_rate`.
  too_slow,
  /// The server, told to stop, has aborted this request: what it waited for has not come.
  aborted,
  /// The stream ended inside a message: in its length, or before all of its content had come. Thrown as
  /// `peer_gone_error`.
  truncated_message,
  /// A message that arrives or is to be sent is longer than `FramingOptions::max_message`, or than its length prefix
  /// can say. Of one that arrives nothing but the length has been read; of one to be sent nothing has left.
  message_too_long,
  /// What should be the length of a message is negative.
  bad_message_length,
  /// The peer has not proved that it knows the key. Thrown as `authentication_error`.
  not_authenticated,
  /// What comes before the handler, such as a handshake, took longer than `ServerOptions::prepare_timeout`. Thrown as
  /// `limit_error`; the connection has been shut down.
  prepare_too_long,
};

/// The category of `errc`; its name is "sockserv".
SOCKSERV_EXPORT const boost::system::error_category& error_category() noexcept;

SOCKSERV_EXPORT error_code make_error_code(errc code) noexcept;

/// Thrown when a timeout passes, so that a handler can tell waiting too long from a broken connection.
/// `code()` is `errc::timed_out`.
class SOCKSERV_EXPORT timeout_error : public boost::system::system_error {
 public:
  explicit timeout_error(const std::string& what);
};

/// Thrown by a request's operations when the peer has gone (connection reset, broken pipe, …): an everyday event,
/// which a server counts and logs in one quiet line instead of reporting it as a fault of the handler.
class SOCKSERV_EXPORT peer_gone_error : public boost::system::system_error {
 public:
  using system_error::system_error;
};

/// Thrown when the server aborts a connection because its client has passed a limit of `ServerOptions`; `code()` says
/// which. It is of no use to catch it and go on: every further operation on the connection throws it again. A server
/// counts it and logs one quiet line.
class SOCKSERV_EXPORT limit_error : public boost::system::system_error {
 public:
  using system_error::system_error;
};

/// Thrown by `authenticate()` if the peer has not proved that it knows the key; the message says why, `code()` is
/// `errc::not_authenticated`. A server counts it and logs one quiet line.
class SOCKSERV_EXPORT authentication_error : public boost::system::system_error {
 public:
  explicit authentication_error(const std::string& what);
};

/// True for an `authentication_error`.
SOCKSERV_EXPORT bool is_authentication_failure(const std::exception_ptr& error) noexcept;

/// True for the codes of a `limit_error`.
SOCKSERV_EXPORT bool is_limit(const error_code& error) noexcept;

/// True for a `limit_error`, and for any other `boost::system::system_error` with such a code, as Asio's functions
/// throw it.
SOCKSERV_EXPORT bool is_limit(const std::exception_ptr& error) noexcept;

/// True for the errors of a request's operations that say that the peer has gone.
SOCKSERV_EXPORT bool is_peer_gone(const error_code& error) noexcept;

/// True for a `peer_gone_error`, and for a `boost::system::system_error` that says as much: Asio's functions throw
/// that when they work on a request.
SOCKSERV_EXPORT bool is_peer_gone(const std::exception_ptr& error) noexcept;

namespace detail {

/// Throws boost::system::system_error; `what` names the operation.
[[noreturn]] SOCKSERV_EXPORT void throw_error(const error_code& error, const std::string& what);

/// Throws the error of a request's operation: as `timeout_error`, `limit_error` or `peer_gone_error`, if it is one.
[[noreturn]] SOCKSERV_EXPORT void throw_request_error(const error_code& error, const std::string& what);

/// Throws as `throw_request_error` if there is an error.
inline void check(const error_code& error, const char* what) {
  if (error) [[unlikely]]
    throw_request_error(error, what);
}

/// The error that errno holds: to be taken before anything else can change it.
SOCKSERV_EXPORT error_code last_system_error() noexcept;

/// To be called while handling an exception: returns it, but throws it on if it is a request to end the thread
/// (`boost::thread_interrupted`, or what pthread_cancel and pthread_exit unwind with) and so no error.
SOCKSERV_EXPORT std::exception_ptr caught_error();

/// Runs `body` and returns the error that escaped it, if any. Requests to end the thread travel on.
template <class Body>
std::exception_ptr error_of(Body&& body) {
  try {
    body();
    return nullptr;
  } catch (...) {
    return caught_error();
  }
}

/// "std::out_of_range: what() says this", whatever was thrown. Control characters in `what()`, which may quote what a
/// client sent, are shown as "?", line ends among them.
SOCKSERV_EXPORT std::string describe(const std::exception_ptr& error);

}  // namespace detail
}  // namespace sockserv::inline abi_0

template <>
struct boost::system::is_error_code_enum<sockserv::errc> : std::true_type {};
