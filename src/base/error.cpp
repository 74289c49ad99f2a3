#include <sockserv/error.hpp>

#include <cxxabi.h>
#include <boost/asio/error.hpp>
#include <boost/thread/exceptions.hpp>
#include <cerrno>
#include <sockserv/detail/text.hpp>
#include <typeinfo>

namespace sockserv::inline abi_0 {
namespace {

class Category final : public boost::system::error_category {
 public:
  const char* name() const noexcept override { return "sockserv"; }

  std::string message(int value) const override {
    switch (static_cast<errc>(value)) {
      case errc::timed_out:
        return "timed out";
      case errc::end_of_stream:
        return "the peer closed the connection before all the bytes had arrived";
      case errc::line_too_long:
        return "no end of line within the limit";
      case errc::no_reply_address:
        return "the sender of this datagram has no address to reply to";
      case errc::idle_too_long:
        return "the client was idle for too long";
      case errc::request_too_long:
        return "the connection has lasted for too long";
      case errc::too_slow:
        return "the client sent too slowly";
      case errc::aborted:
        return "the server is ending and has aborted this request";
      case errc::truncated_message:
        return "the stream ended inside a message";
      case errc::message_too_long:
        return "the message is too long";
      case errc::bad_message_length:
        return "the length of the message is negative";
      case errc::not_authenticated:
        return "the peer has not authenticated itself";
      case errc::prepare_too_long:
        return "the client took too long before its handler could begin";
    }
    return "unknown sockserv error " + std::to_string(value);
  }

  boost::system::error_condition default_error_condition(int value) const noexcept override {
    if (static_cast<errc>(value) == errc::timed_out) {
      return make_error_condition(boost::system::errc::timed_out);
    }
    return {value, *this};
  }
};

}  // namespace

const boost::system::error_category& error_category() noexcept {
  static const Category category;
  return category;
}

error_code make_error_code(errc code) noexcept { return {static_cast<int>(code), error_category()}; }

timeout_error::timeout_error(const std::string& what) : system_error(make_error_code(errc::timed_out), what) {}

authentication_error::authentication_error(const std::string& what)
    : system_error(make_error_code(errc::not_authenticated), what) {}

bool is_authentication_failure(const std::exception_ptr& error) noexcept {
  try {
    std::rethrow_exception(error);
  } catch (const authentication_error&) {
    return true;
  } catch (...) {
    return false;
  }
}

bool is_limit(const error_code& error) noexcept {
  return error == errc::idle_too_long || error == errc::request_too_long || error == errc::too_slow ||
         error == errc::aborted || error == errc::prepare_too_long;
}

bool is_limit(const std::exception_ptr& error) noexcept {
  try {
    std::rethrow_exception(error);
  } catch (const boost::system::system_error& failure) {
    return is_limit(failure.code());
  } catch (...) {
    return false;
  }
}

bool is_peer_gone(const error_code& error) noexcept {
  if (error == boost::asio::error::eof || error == errc::end_of_stream || error == errc::truncated_message) return true;
  if (error.category() != boost::system::system_category()) return false;
  switch (error.value()) {
    case ECONNRESET:
    case EPIPE:
    case ECONNABORTED:
    case ENOTCONN:
    case ESHUTDOWN:
    case ETIMEDOUT:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EHOSTDOWN:
    case ENETDOWN:
    case ECONNREFUSED:  // a datagram's sender that has closed its socket,
    case ENOENT:        // or removed its path
      return true;
    default:
      return false;
  }
}

bool is_peer_gone(const std::exception_ptr& error) noexcept {
  try {
    std::rethrow_exception(error);
  } catch (const peer_gone_error&) {
    return true;
  } catch (const boost::system::system_error& failure) {
    // Fewer than above: a handler may have connections of its own, whose failures are not the peer's.
    return failure.code() == boost::asio::error::eof || failure.code() == boost::system::errc::connection_reset ||
           failure.code() == boost::system::errc::broken_pipe;
  } catch (...) {
    return false;
  }
}

namespace detail {

void throw_error(const error_code& error, const std::string& what) { throw boost::system::system_error(error, what); }

void throw_request_error(const error_code& error, const std::string& what) {
  if (error == errc::timed_out) throw timeout_error(what);
  if (is_limit(error)) throw limit_error(error, what);
  if (is_peer_gone(error)) throw peer_gone_error(error, what);
  throw_error(error, what);
}

error_code last_system_error() noexcept { return {errno, boost::system::system_category()}; }

std::exception_ptr caught_error() {
  try {
    throw;
  } catch (const boost::thread_interrupted&) {
    throw;
  } catch (const abi::__forced_unwind&) {
    throw;
  } catch (...) {
    return std::current_exception();
  }
}

std::string describe(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& exception) {
    const char* const what = exception.what();  // which an override may leave null
    return type_name(typeid(exception)) + ": " + (what ? printable(what) : "(no message)");
  } catch (...) {
    const std::type_info* type = abi::__cxa_current_exception_type();
    return "an exception of type " + (type ? type_name(*type) : std::string("unknown"));
  }
}

}  // namespace detail
}  // namespace sockserv::inline abi_0
