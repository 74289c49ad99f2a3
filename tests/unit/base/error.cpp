#include <sockserv/error.hpp>  // first, to test that it is self-contained

#include <doctest/doctest.h>

#include <boost/asio/error.hpp>
#include <boost/thread/exceptions.hpp>
#include <stdexcept>

namespace {

using namespace sockserv;

TEST_CASE("every errc has a message of its own") {
  const error_code first = errc::timed_out;
  CHECK(std::string(first.category().name()) == "sockserv");
  for (const errc code : {errc::timed_out, errc::end_of_stream, errc::line_too_long, errc::no_reply_address,
                          errc::idle_too_long, errc::request_too_long, errc::too_slow, errc::aborted,
                          errc::truncated_message, errc::message_too_long, errc::bad_message_length}) {
    CHECK(make_error_code(code).message().find("unknown") == std::string::npos);
  }
  CHECK(error_code(99, error_category()).message() == "unknown sockserv error 99");
}

TEST_CASE("a timeout is the generic timed_out, and a class of its own") {
  CHECK(error_code(errc::timed_out) == boost::system::errc::timed_out);
  CHECK(error_code(errc::line_too_long) != boost::system::errc::timed_out);
  CHECK_THROWS_AS(detail::throw_request_error(errc::timed_out, "recv"), timeout_error);
}

TEST_CASE("a peer gone is told from other errors") {
  const auto system = [](int value) { return error_code(value, boost::system::system_category()); };
  CHECK(is_peer_gone(system(ECONNRESET)));
  CHECK(is_peer_gone(system(EPIPE)));
  CHECK(is_peer_gone(error_code(boost::asio::error::eof)));
  CHECK(is_peer_gone(error_code(errc::truncated_message)));
  CHECK_FALSE(is_peer_gone(system(EMFILE)));
  CHECK_FALSE(is_peer_gone(error_code(errc::timed_out)));
  CHECK_FALSE(is_peer_gone(error_code(errc::message_too_long)));

  const auto thrown = [](auto&& exception) { return std::make_exception_ptr(exception); };
  CHECK(is_peer_gone(thrown(peer_gone_error(system(ETIMEDOUT), "recv"))));
  CHECK(is_peer_gone(thrown(boost::system::system_error(system(ECONNRESET), "from Asio"))));
  // A handler's own connection to a database, say, that was refused: not the peer's doing.
  CHECK_FALSE(is_peer_gone(thrown(boost::system::system_error(system(ECONNREFUSED), "connect"))));
  CHECK_FALSE(is_peer_gone(thrown(std::runtime_error("no"))));
  CHECK_FALSE(is_peer_gone(thrown(42)));
}

TEST_CASE("a limit of the server's is a class of its own, and no timeout of the handler's") {
  for (const errc code : {errc::idle_too_long, errc::request_too_long, errc::too_slow}) {
    CHECK(is_limit(error_code(code)));
    CHECK(error_code(code) != boost::system::errc::timed_out);
    CHECK_THROWS_AS(detail::throw_request_error(code, "recv"), limit_error);
    CHECK(is_limit(std::make_exception_ptr(boost::system::system_error(code, "from Asio"))));
  }
  CHECK_FALSE(is_limit(error_code(errc::timed_out)));
  CHECK_FALSE(is_limit(error_code()));
  CHECK_FALSE(is_limit(std::make_exception_ptr(timeout_error("recv"))));
  CHECK_FALSE(is_limit(std::make_exception_ptr(42)));
}

TEST_CASE("error_of catches errors and lets the end of a thread pass") {
  CHECK_FALSE(detail::error_of([] {}));
  CHECK(detail::error_of([] { throw 42; }));
  CHECK_THROWS_AS(detail::error_of([] { throw boost::thread_interrupted(); }), boost::thread_interrupted);
}

TEST_CASE("any error can be described") {
  CHECK(detail::describe(std::make_exception_ptr(std::out_of_range("why"))) == "std::out_of_range: why");
  struct Silent : std::exception {
    const char* what() const noexcept override { return nullptr; }
  };
  CHECK(detail::describe(std::make_exception_ptr(Silent())).ends_with("Silent: (no message)"));
  CHECK(detail::describe(std::make_exception_ptr(42)) == "an exception of type int");
}

TEST_CASE("an error that quotes control characters is described without them") {
  const auto describe = [](const char* what) {
    return detail::describe(std::make_exception_ptr(std::out_of_range(what)));
  };
  CHECK(describe("no such name: \x1b[2J\n\x9b\xc2\x9b") == "std::out_of_range: no such name: ?[2J???");
  CHECK(describe("no such name: w\u00f6rld") == "std::out_of_range: no such name: w\u00f6rld");
}

}  // namespace
