#include <kv_server/resp.hpp>  // first, to test that it is self-contained

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "parsed.hpp"

namespace {

using namespace kv;
using namespace std::string_literals;

using Requests = std::vector<std::vector<std::string>>;

/// The requests in these bytes, which must be all that is in them, however they are cut.
Requests requests_in(const std::string& bytes, const RequestLimits& limits = {}) {
  const test::Parsed whole = test::parsed(bytes, limits);
  CHECK(whole.error == "");
  CHECK(whole.left == "");
  for (std::size_t piece = 1; piece < bytes.size(); ++piece) CHECK(test::parsed(bytes, limits, piece) == whole);
  for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
    CHECK(test::parsed_in_two(bytes, cut, limits) == whole);
  }
  return whole.requests;
}

/// What is wrong with these bytes, of which all before the last matters.
std::string error_in(const std::string& bytes, const RequestLimits& limits = {}) {
  const test::Parsed whole = test::parsed(bytes, limits);
  for (const std::size_t piece : {1U, 2U, 3U, 7U}) CHECK(test::parsed(bytes, limits, piece).error == whole.error);
  return whole.error;
}

TEST_CASE("an array of bulk strings is a request, however it is cut") {
  CHECK(requests_in("*1\r\n$4\r\nPING\r\n") == Requests{{"PING"}});
  CHECK(requests_in("*3\r\n$3\r\nSET\r\n$0\r\n\r\n$5\r\na\0\r\nb\r\n"s) == Requests{{"SET", "", "a\0\r\nb"s}});
}

TEST_CASE("requests may come many at a time") {
  std::string bytes;
  Requests expected;
  for (int i = 0; i < 20; ++i) {
    bytes += "*2\r\n$4\r\nECHO\r\n$2\r\n" + std::to_string(10 + i) + "\r\nPING\r\n";
    expected.push_back({"ECHO", std::to_string(10 + i)});
    expected.push_back({"PING"});
  }
  CHECK(requests_in(bytes) == expected);
}

TEST_CASE("requests that are empty are none") {
  CHECK(requests_in("*0\r\n*-1\r\n*-5\r\n\r\n\n   \r\n*1\r\n$1\r\na\r\n*0\r\n") == Requests{{"a"}});
}

TEST_CASE("what ends a length or an argument is taken for a line break") {
  CHECK(requests_in("*1\rx$4\rxPINGxx*1\r\n$1\r\na\r\n") == Requests{{"PING"}, {"a"}});
}

TEST_CASE("a line is a request, too, whose words may be in quotes") {
  CHECK(requests_in("PING\r\nPING\nPING\r\r\n") == Requests{{"PING"}, {"PING"}, {"PING"}});
  CHECK(requests_in("  get \t key \r\n") == Requests{{"get", "key"}});
  CHECK(requests_in("\v\fget\vkey\f\n") == Requests{{"get\vkey\f"}});
  CHECK(requests_in("a \"b c\\x41\\n\\r\\t\\b\\a\\\"\\q\\xZ1\\x4\" d\n") ==
        Requests{{"a", "b cA\n\r\t\b\a\"qxZ1x4", "d"}});
  CHECK(requests_in("a 'b \\'c\\n\"' \"'\" \"\" ''\n") == Requests{{"a", "b 'c\\n\"", "'", "", ""}});
  CHECK(requests_in("a b\"c d\"\n") == Requests{{"a", "bc d"}});
  CHECK(requests_in("a\0b \x80\xff\n"s) == Requests{{"a\0b"s, "\x80\xff"}});
}

TEST_CASE("quotes that do not end, or not with the word, are an error") {
  for (const std::string line : {"a \"b\n", "a 'b\n", "a \"b\\\"\n", "a \"b\"c\n", "a 'b'c\n", "a b\"c\n", "\"\\\n"}) {
    CHECK_MESSAGE(error_in(line) == "Protocol error: unbalanced quotes in request", line);
  }
}

TEST_CASE("a number of arguments that is none is an error") {
  for (const std::string count : {"", "x", "+1", "01", "-0", "1 ", " 1", "1.0", "1048577", "99999999999999999999"}) {
    CHECK_MESSAGE(error_in("*" + count + "\r\n") == "Protocol error: invalid multibulk length", count);
  }
}

TEST_CASE("a length that is none is an error") {
  for (const std::string length : {"", "x", "-1", "+1", "04", "4 ", "536870913", "99999999999999999999"}) {
    CHECK_MESSAGE(error_in("*1\r\n$" + length + "\r\n") == "Protocol error: invalid bulk length", length);
  }
}

TEST_CASE("an argument begins with a dollar sign") {
  CHECK(error_in("*1\r\n+4\r\n") == "Protocol error: expected '$', got '+'");
  CHECK(error_in("*1\r\n\r\n") == "Protocol error: expected '$', got '\r'");
  CHECK(error_in("*2\r\n$1\r\na\r\nb\r\n") == "Protocol error: expected '$', got 'b'");
}

TEST_CASE("limits hold before memory is taken, and exactly") {
  const RequestLimits limits{.arguments = 2, .argument_size = 5, .line_size = 8, .request_size = 30};
  CHECK(requests_in("*2\r\n$5\r\n12345\r\n$0\r\n\r\n", limits) == Requests{{"12345", ""}});
  CHECK(error_in("*3\r\n", limits) == "Protocol error: invalid multibulk length");
  CHECK(error_in("*1\r\n$6\r\n", limits) == "Protocol error: invalid bulk length");
  CHECK(requests_in("12345678\n", limits) == Requests{{"12345678"}});
  CHECK(error_in("123456789\n", limits) == "Protocol error: too big inline request");
  CHECK(error_in("*00000000", limits) == "Protocol error: too big mbulk count string");
  CHECK(error_in("*1\r\n$00000000", limits) == "Protocol error: too big bulk count string");
  CHECK(test::parsed("*00000000", {.line_size = 9}).error == "");

  CHECK(test::parsed("*2\r\n$5\r\n12345\r\n$5\r\n1234", {.request_size = 23}).error == "");
  CHECK(error_in("*2\r\n$5\r\n12345\r\n$5\r\n12345", {.request_size = 23}) == "Protocol error: too big request");
  CHECK(requests_in("*2\r\n$1\r\na\r\n$1\r\nb\r\n", {.request_size = 18}) == Requests{{"a", "b"}});
  CHECK(error_in("*2\r\n$1\r\na\r\n$1\r\nb\r\n", {.request_size = 17}) == "Protocol error: too big request");
}

TEST_CASE("a length that is only announced takes no memory") {
  for (const std::string bytes : {"*1048576\r\n", "*1\r\n$536870912\r\n", "*1048576\r\n$536870912\r\nx"}) {
    const test::Parsed result = test::parsed(bytes);
    CHECK(result.error == "");
    CHECK(result.left == bytes);
  }
}

TEST_CASE("a request with as many arguments as there may be is taken in pieces") {
  std::string bytes = "*1048576\r\n";
  for (int i = 0; i < 1048576; ++i) bytes += "$1\r\na\r\n";
  const test::Parsed result = test::parsed(bytes, {}, 65536);
  REQUIRE(result.requests.size() == 1);
  CHECK(result.requests[0].size() == 1048576);
}

TEST_CASE("an integer is written in one way only") {
  CHECK(parse_integer("0") == 0);
  CHECK(parse_integer("-1") == -1);
  CHECK(parse_integer("9223372036854775807") == std::numeric_limits<std::int64_t>::max());
  CHECK(parse_integer("-9223372036854775808") == std::numeric_limits<std::int64_t>::min());
  for (const std::string_view text : {"", "-", "+1", "00", "01", "-0", "-01", " 1", "1 ", "1x", "0x1", "1.5",
                                      "9223372036854775808", "-9223372036854775809", "00000000000000000000001"}) {
    CHECK_MESSAGE(parse_integer(text) == std::nullopt, text);
  }
}

TEST_CASE("upper and lower case are the same where that is asked") {
  CHECK(equal_ignoring_case("KeepTTL", "keepttl"));
  CHECK_FALSE(equal_ignoring_case("ex", "px"));
  CHECK_FALSE(equal_ignoring_case("ex", "exat"));
  CHECK_FALSE(equal_ignoring_case("[", "{"));
}

}  // namespace
