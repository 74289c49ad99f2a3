/// The parts of http_server that need no connection.

#include <doctest/doctest.h>

#include <ctime>
#include <sockserv/testing.hpp>
#include <vector>

#include "http_server/access_log.hpp"
#include "http_server/authority.hpp"
#include "http_server/body.hpp"
#include "http_server/date.hpp"
#include "http_server/head.hpp"
#include "http_server/media_type.hpp"
#include "http_server/response_head.hpp"
#include "http_server/router.hpp"
#include "http_server/selection.hpp"
#include "http_server/target.hpp"

namespace {

using namespace web;
using http::status;
using http::verb;

/// The status that a call is refused with; `ok` if it is not.
template <class Call>
status status_of(const Call& call) {
  try {
    call();
  } catch (const Refusal& refusal) {
    CHECK(std::string(refusal.what()) != "");
    return refusal.status();
  }
  return status::ok;
}

/// A head and the text that it looks at.
struct Parsed {
  explicit Parsed(std::string_view lines) : text(std::string(lines) + "\r\n") { parse_head(text, {}, head); }
  std::string text;
  Head head;
};

/// The status of a request of these lines, to which a Host is added.
status parsed(std::string_view first_line, std::string_view fields = "", const HeadLimits& limits = {}) {
  return status_of([&] {
    Head head;
    parse_head(std::string(first_line) + "\r\nHost: x\r\n" + std::string(fields) + "\r\n", limits, head);
  });
}

TEST_CASE("head: a request and its fields") {
  const Parsed parsed("GET /a?b HTTP/1.1\r\nHost: x\r\nRange:\t bytes=0-1 \r\nX-Other: 1\r\nRange: second\r\n");
  const Head& head = parsed.head;
  CHECK(head.first_line == "GET /a?b HTTP/1.1");
  CHECK(head.method == verb::get);
  CHECK(head.target == "/a?b");
  CHECK(head.minor_version == 1);
  CHECK(head.fields.size() == 4);
  CHECK(head.value(http::field::range) == "bytes=0-1, second");
  CHECK(head.value(http::field::accept).empty());
  CHECK_FALSE(head.has_body());
  CHECK(head.keep_alive);
}

TEST_CASE("head: a head is read into the memory of the one before, and takes nothing of it over") {
  Head head;
  parse_head("POST / HTTP/1.0\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n", {}, head);
  CHECK(head.content_length == 5);
  CHECK_FALSE(head.expects_continue);  // HTTP/1.0 knows no 100
  parse_head("GET / HTTP/1.1\r\nHost: x\r\n\r\n", {}, head);
  CHECK_FALSE(head.has_body());
  CHECK(head.fields.size() == 1);
}

TEST_CASE("head: who keeps the connection") {
  const auto keeps = [](const std::string& version, const std::string& connection) {
    return Parsed("GET / " + version + "\r\nHost: x\r\n" +
                  (connection.empty() ? "" : "Connection: " + connection + "\r\n"))
        .head.keep_alive;
  };
  CHECK(keeps("HTTP/1.1", ""));
  CHECK_FALSE(keeps("HTTP/1.1", "close"));
  CHECK_FALSE(keeps("HTTP/1.1", "Upgrade, CLOSE"));
  CHECK(keeps("HTTP/1.1", "keep-alive"));
  CHECK_FALSE(keeps("HTTP/1.0", ""));
  CHECK(keeps("HTTP/1.0", "Keep-Alive"));
  CHECK_FALSE(keeps("HTTP/1.0", "close"));
}

TEST_CASE("head: close is heeded wherever it stands (RFC 9112, 9.3)") {
  for (const char* const version : {"HTTP/1.0", "HTTP/1.1"}) {
    for (const char* const fields :
         {"Connection: close, keep-alive\r\n", "Connection: keep-alive, close\r\n", "Connection: ,close ,\r\n",
          "Connection: close\r\nConnection: keep-alive\r\n", "Connection: keep-alive\r\nConnection: close\r\n"}) {
      CAPTURE(fields);
      CHECK_FALSE(Parsed(std::string("GET / ") + version + "\r\nHost: x\r\n" + fields).head.keep_alive);
    }
  }
}

TEST_CASE("head: a later version of HTTP/1 is served as HTTP/1.1 (RFC 9110, 2.5)") {
  for (const char* const version : {"HTTP/1.2", "HTTP/1.9"}) {
    CAPTURE(version);
    const std::string line = std::string("GET /a?b ") + version;
    const Parsed parsed(line + "\r\nHost: x\r\nConnection: keep-alive\r\nRange: bytes=0-1\r\nX:\r\n");
    CHECK(parsed.head.first_line == line);
    CHECK(parsed.head.minor_version == 1);
    CHECK(parsed.head.method == verb::get);
    CHECK(parsed.head.target == "/a?b");
    CHECK(parsed.head.value(http::field::range) == "bytes=0-1");
    CHECK(parsed.head.keep_alive);
    for (const Field& each : parsed.head.fields) {
      if (!each.value.empty()) CHECK(std::less_equal<>()(parsed.text.data(), each.value.data()));
      if (!each.value.empty()) CHECK(std::less<>()(each.value.data(), parsed.text.data() + parsed.text.size()));
    }
    CHECK(status_of([&] { const Parsed head(line + "\r\n"); }) == status::bad_request);  // no Host
    CHECK(status_of([&] {
            Head head;
            parse_head(line + "\r\nHost: x\r\nReferer: r\r\nA: b\r\n\r\n", {.fields = 2}, head);
          }) == status::request_header_fields_too_large);
  }
}

TEST_CASE("head: what is no request is refused") {
  for (const char* const line :
       {"GET", "GET /", "GET  / HTTP/1.1", " GET / HTTP/1.1", "GET / HTTP/1.1 ", "GET / http/1.1", "GET / HTTP/1",
        "GET / HTTP/1.11", "GET /a b HTTP/1.1", "GET /\x01 HTTP/1.1", "G(T / HTTP/1.1", "GET / XTTP/2.0",
        "GET / HTTP/x.0", "\r\nGET / HTTP/1.1"}) {
    CAPTURE(line);
    CHECK(parsed(line) == status::bad_request);
  }
  CHECK(parsed(std::string_view("GET /\0 HTTP/1.1", 15)) == status::bad_request);
  for (const char* const line : {"GET / HTTP/2.0", "GET / HTTP/3.1", "PRI * HTTP/2.0", "GET / HTTP/0.9"}) {
    CAPTURE(line);
    CHECK(parsed(line) == status::http_version_not_supported);
  }
  CHECK(parsed("BREW / HTTP/1.1") == status::ok);  // a valid method that nobody knows is for others to refuse
}

TEST_CASE("head: fields that are none are refused") {
  for (const char* const field :
       {"No colon\r\n", ": no name\r\n", "Space : in front\r\n", "Na me: x\r\n", "X: a\nY: b\r\n", "X: a\rb\r\n",
        "X: a\x01\r\n", "X: a\r\n folded\r\n", "X:\r\n\tfolded\r\n", " X: folded into the line before\r\n"}) {
    CAPTURE(field);
    CHECK(parsed("GET / HTTP/1.1", field) == status::bad_request);
  }
  CHECK(parsed("GET / HTTP/1.1", std::string_view("X: \0\r\n", 6)) == status::bad_request);
  CHECK(parsed("GET / HTTP/1.1", "X: \xff\xc3\r\nY:\r\n") == status::ok);
}

TEST_CASE("head: one Host, and HTTP/1.0 may do without") {
  CHECK(parsed("GET / HTTP/1.1", "Host: y\r\n") == status::bad_request);
  CHECK(status_of([] { const Parsed head("GET / HTTP/1.1\r\n"); }) == status::bad_request);
  CHECK(status_of([] { const Parsed head("GET / HTTP/1.0\r\n"); }) == status::ok);
}

TEST_CASE("authority: a host and perhaps a port, by the grammar of RFC 3986, 3.2") {
  for (const char* const text :
       {"x", "example.org", "example.org:", "example.org:80", "127.0.0.1:8000", "[::1]", "[::1]:80", "[2001:DB8::7]",
        "[::ffff:192.0.2.1]", "[v1.a:b]", "a_b~c!$&'()*+,;=", "%C3%A4.example"}) {
    CAPTURE(text);
    CHECK(is_authority(text));
  }
  for (const char* const text :
       {"",    ":",         ":80",     "a b",          "a/b",    "a?b",   "a#b",   "a\\b",    "a\"b",
        "a<b", "user@host", "host:8a", "host:-1",      "a:b:80", "::1",   "[::1",  "[::1]80", "[::1]:x",
        "[]",  "[:]",       "[g::1]",  "[::1%25eth0]", "[v.a]",  "[v1]",  "[v1.]", "[vg.a]",  "[127.0.0.1]",
        "%",   "%4",        "%zz",     "\xc3\xa4",     "]",      "x[::1]"}) {
    CAPTURE(text);
    CHECK_FALSE(is_authority(text));
  }
}

TEST_CASE("head: a Host that is none is refused (RFC 9112, 3.2)") {
  const auto with_host = [](const std::string& host) {
    return status_of([&] { const Parsed head("GET / HTTP/1.1\r\nHost: " + host + "\r\n"); });
  };
  for (const char* const host : {"", "x", "x:80", "[::1]:80", "127.0.0.1"}) {
    CAPTURE(host);
    CHECK(with_host(host) == status::ok);
  }
  for (const char* const host : {"a b", "a/b", "user@host", "x:y", "[::1", "http://x", "x, y", ":80"}) {
    CAPTURE(host);
    CHECK(with_host(host) == status::bad_request);
  }
}

TEST_CASE("head: nothing that two servers could take for different lengths") {
  for (const char* const fields :
       {"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\nContent-Length: 5\r\n", "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 5, 5\r\n", "Content-Length: +5\r\n", "Content-Length: -5\r\n", "Content-Length: 0x5\r\n",
        "Content-Length: 5 5\r\n", "Content-Length:\r\n", "Content-Length: 18446744073709551616\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding: chunked, gzip\r\n", "Transfer-Encoding:\r\n", "Transfer-Encoding: ,\r\n",
        "Transfer-Encoding: \"chunked\"\r\n", "Transfer-Encoding : chunked\r\n"}) {
    CAPTURE(fields);
    CHECK(parsed("POST / HTTP/1.1", fields) == status::bad_request);
  }
  for (const char* const fields :
       {"Transfer-Encoding: gzip\r\n", "Transfer-Encoding: identity\r\n", "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: gzip, chunked\r\n", "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: gzip\r\nContent-Length: 5\r\n"}) {
    CAPTURE(fields);
    CHECK(parsed("POST / HTTP/1.1", fields) == status::not_implemented);
  }
  CHECK(parsed("POST / HTTP/1.0", "Transfer-Encoding: chunked\r\n") == status::bad_request);
  CHECK(Parsed("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: ChunkED\r\n").head.chunked);
  CHECK(Parsed("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 007\r\n").head.content_length == 7);
}

TEST_CASE("head: expectations") {
  CHECK(parsed("POST / HTTP/1.1", "Expect: something\r\n") == status::expectation_failed);
  CHECK(Parsed("POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-Continue\r\n").head.expects_continue);
  // A list, in one line or in several (RFC 9110, 10.1.1).
  CHECK(Parsed("POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue, 100-continue\r\n").head.expects_continue);
  CHECK(parsed("POST / HTTP/1.1", "Expect: 100-continue\r\nExpect: 100-continue\r\n") == status::ok);
  CHECK(parsed("POST / HTTP/1.1", "Expect: 100-continue\r\nExpect: x\r\n") == status::expectation_failed);
  CHECK(parsed("POST / HTTP/1.1", "Expect: 100-continue, x\r\n") == status::expectation_failed);
}

TEST_CASE("head: limits") {
  const auto long_target = [](std::size_t size) { return "GET /" + std::string(size - 1, 'x') + " HTTP/1.1"; };
  CHECK(parsed(long_target(20), "", {.target = 20}) == status::ok);
  CHECK(parsed(long_target(21), "", {.target = 20}) == status::uri_too_long);
  CHECK(parsed("GET / HTTP/1.1", "A: 1\r\nB: 2\r\n", {.fields = 3}) == status::ok);
  CHECK(parsed("GET / HTTP/1.1", "A: 1\r\nB: 2\r\nC: 3\r\n", {.fields = 3}) == status::request_header_fields_too_large);
}

TEST_CASE("head: what a beginning already shows") {
  const auto begun = [](std::string_view text) {
    return status_of([&] { check_beginning(text, {.size = 40, .target = 20}); });
  };
  CHECK(begun("G") == status::ok);
  CHECK(begun("GET / HTTP/1.1\r\nHost: x") == status::ok);
  CHECK(begun("GET / HTTP/1.1\n") == status::bad_request);
  CHECK(begun("\n") == status::bad_request);
  CHECK(begun("\x16\x03\x01") == status::bad_request);
  CHECK(begun("GET /" + std::string(20, 'x')) == status::uri_too_long);
  CHECK(begun("GET / HTTP/1.1\r\nHost: " + std::string(20, 'x')) == status::request_header_fields_too_large);
  CHECK(begun(std::string(40, 'x')) == status::uri_too_long);
}

TEST_CASE("target: paths") {
  const auto path = [](std::string_view target) { return parse_target(verb::get, target).path; };
  CHECK(path("/") == "/");
  CHECK(path("/a/b") == "/a/b");
  CHECK(path("/a/b/") == "/a/b/");
  CHECK(path("/a//b///") == "/a/b/");
  CHECK(path("//evil.example/") == "/evil.example/");
  CHECK(path("/./a/.") == "/a/");
  CHECK(path("/a/../b") == "/b");
  CHECK(path("/a/b/..") == "/a/");
  CHECK(path("/a/b/../..") == "/");
  CHECK(path("/...") == "/...");
  CHECK(path("/%41%2f%c3%a4%25") == "/A/\xc3\xa4%");
  CHECK(path("/a+b") == "/a+b");
  CHECK(path("http://host:80/a?b") == "/a");
  CHECK(path("HTTPS://host") == "/");
  CHECK(path("http://host?x") == "/");
  CHECK(path("http://[::1]:80/a") == "/a");
  CHECK(parse_target(verb::get, "/a?b=%41?c").query == "b=%41?c");
  CHECK(parse_target(verb::get, "/a?").query.empty());
}

TEST_CASE("target: what leads out, or nowhere") {
  for (const char* const target : {"/..",
                                   "/../a",
                                   "/a/../../b",
                                   "/%2e%2e/a",
                                   "/..%2fa",
                                   "/%2e%2e%2f",
                                   "/a/%2E%2E/../b",
                                   "/%",
                                   "/%4",
                                   "/%zz",
                                   "/%-1",
                                   "/a%00b",
                                   "a",
                                   "",
                                   "*",
                                   "?",
                                   "host:80",
                                   "ftp://host/",
                                   "http://",
                                   "http:///a",
                                   "http:/a",
                                   "http://user@host/a",
                                   "http://:80/a",
                                   "http://a b/",
                                   "http://host:x/",
                                   "http://[::1/a",
                                   "http://host#a"}) {
    CAPTURE(target);
    CHECK(status_of([&] { parse_target(verb::get, target); }) == status::bad_request);
  }
  CHECK(parse_target(verb::options, "*").path == "/");
  CHECK(parse_target(verb::connect, "host:443").path == "/");
  CHECK(parse_target(verb::connect, "[::1]:443").path == "/");
  for (const char* const target : {"host", "host:", "host:0", "host:65536", "host:x", ":443", "/", "http://host:1/"}) {
    CAPTURE(target);  // RFC 9110, 9.3.6
    CHECK(status_of([&] { parse_target(verb::connect, target); }) == status::bad_request);
  }
}

TEST_CASE("target: text for URLs and for HTML") {
  CHECK(percent_encoded("/a b/\xc3\xa4?#%&\"<>'\n:") == "/a%20b/%C3%A4%3F%23%25%26%22%3C%3E%27%0A%3A");
  CHECK(html_escaped("<a href=\"x\">&'") == "&lt;a href=&quot;x&quot;&gt;&amp;&#x27;");
}

TEST_CASE("dates: written in one form, read in three") {
  constexpr std::time_t time = 784'111'777;
  CHECK(http_date(time) == "Sun, 06 Nov 1994 08:49:37 GMT");
  CHECK(parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT") == time);
  CHECK(parse_http_date("Sunday, 06-Nov-94 08:49:37 GMT") == time);
  CHECK(parse_http_date("Sun Nov  6 08:49:37 1994") == time);
  CHECK(http_date(-1) == "Thu, 01 Jan 1970 00:00:00 GMT");
  CHECK(http_date(std::numeric_limits<std::time_t>::max()) == "Fri, 31 Dec 9999 23:59:59 GMT");
  for (const char* const text :
       {"", "now", "Sun, 06 Nov 1994 08:49:37", "Sun, 06 Nov 1994 08:49:37 CET", "Sun, 06 Nov 1994 08:49:37 GMT ",
        "Mon, 30 Feb 1994 08:49:37 GMT", "Sun, 06 Nov 1994 24:49:37 GMT", "Sun, 06 Nov 1994 08:61:37 GMT",
        "Sun,                           06 Nov 1994 08:49:37 GMT"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_http_date(text));
  }
  CHECK(http_date(*parse_http_date("Wed, 31 Dec 1969 23:00:00 GMT")) == "Thu, 01 Jan 1970 00:00:00 GMT");
}

TEST_CASE("dates: a year of two digits is at most 50 years ahead (RFC 9110, 5.6.7)") {
  const auto read = [](const char* text, const char* now) {
    return http_date(*parse_http_date(text, *parse_http_date(now)));
  };
  constexpr const char* now = "Wed, 25 Nov 2026 12:00:00 GMT";
  CHECK(read("Sunday, 06-Nov-94 08:49:37 GMT", now) == "Sun, 06 Nov 1994 08:49:37 GMT");
  CHECK(read("Wednesday, 25-Nov-26 12:00:01 GMT", now) == "Wed, 25 Nov 2026 12:00:01 GMT");
  CHECK(read("Tuesday, 31-Dec-69 23:00:00 GMT", now) == "Tue, 31 Dec 2069 23:00:00 GMT");
  CHECK(read("Wednesday, 25-Nov-76 12:00:00 GMT", now) == "Wed, 25 Nov 2076 12:00:00 GMT");
  CHECK(read("Thursday, 25-Nov-76 12:00:01 GMT", now) == "Thu, 25 Nov 1976 12:00:01 GMT");
  CHECK(read("Tuesday, 01-Feb-00 00:00:00 GMT", now) == "Tue, 01 Feb 2000 00:00:00 GMT");
  CHECK(read("Monday, 01-Jan-01 00:00:00 GMT", "Thu, 31 Dec 2099 00:00:00 GMT") == "Sat, 01 Jan 2101 00:00:00 GMT");
  CHECK(read("Thursday, 01-Jan-98 00:00:00 GMT", "Fri, 31 Dec 1999 00:00:00 GMT") == "Thu, 01 Jan 1998 00:00:00 GMT");
  CHECK_FALSE(parse_http_date("Monday, 29-Feb-00 00:00:00 GMT", *parse_http_date("Fri, 01 Jan 2094 00:00:00 GMT")));
}

TEST_CASE("dates: a leap second is a time (RFC 9110, 5.6.7), at the end of a day") {
  const auto next = parse_http_date("Sun, 01 Jan 2017 00:00:00 GMT");
  CHECK(parse_http_date("Sat, 31 Dec 2016 23:59:60 GMT") == next);
  CHECK(parse_http_date("Saturday, 31-Dec-16 23:59:60 GMT") == next);
  CHECK(parse_http_date("Sat Dec 31 23:59:60 2016") == next);
  for (const char* const text : {"Sat, 31 Dec 2016 23:59:61 GMT", "Sat, 31 Dec 2016 23:58:60 GMT",
                                 "Sat, 31 Dec 2016 08:59:60 GMT", "Wed, 30 Feb 2016 23:59:60 GMT"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_http_date(text));
  }
}

TEST_CASE("dates: what is said of this second changes with it") {
  const std::string_view now = of_this_second<http_date>();
  const auto time = parse_http_date(now);
  REQUIRE(time);
  CHECK(std::abs(*time - std::time(nullptr)) <= 1);
  CHECK(of_this_second<http_date>().data() == now.data());
}

/// What a GET with these fields selects of a file.
Selection selected(std::string_view fields, std::uint64_t size = 1000, std::string_view method = "GET",
                   const std::string& etag = "\"e,1\"", std::time_t seen = 784'111'778) {
  const Parsed parsed(std::string(method) + " / HTTP/1.1\r\nHost: x\r\n" + std::string(fields));
  return select(parsed.head, {size, 784'111'777, etag, seen});
}

TEST_CASE("selection: ranges") {
  struct Row {
    const char* range;
    status expected;
    std::uint64_t offset;
    std::uint64_t count;
  };
  constexpr auto all = status::ok;
  constexpr auto part = status::partial_content;
  constexpr auto none = status::range_not_satisfiable;
  for (const Row& row : {
           Row{"bytes=0-0", part, 0, 1},
           {"bytes=0-999", part, 0, 1000},
           {"bytes=10-19", part, 10, 10},
           {"BYTES= 10-19 ", part, 10, 10},
           {"bytes=990-", part, 990, 10},
           {"bytes=990-5000", part, 990, 10},
           {"bytes=0-99999999999999999999999", part, 0, 1000},
           {"bytes=-1", part, 999, 1},
           {"bytes=-5000", part, 0, 1000},
           {"bytes=-99999999999999999999999", part, 0, 1000},
           {"bytes=1000-", none, 0, 0},
           {"bytes=99999999999999999999999-", none, 0, 0},
           {"bytes=-0", none, 0, 0},
           {"bytes=20-10", all, 0, 1000},
           {"bytes=0-1,3-4", all, 0, 1000},
           {"bytes=-", all, 0, 1000},
           {"bytes=", all, 0, 1000},
           {"bytes", all, 0, 1000},
           {"bytes=a-b", all, 0, 1000},
           {"bytes=1 - 2", all, 0, 1000},
           {"bytes=+1-2", all, 0, 1000},
           {"bytes=--2", all, 0, 1000},
           {"lines=0-1", all, 0, 1000},
       }) {
    CAPTURE(row.range);
    const Selection selection = selected("Range: " + std::string(row.range) + "\r\n");
    CHECK(selection.status == row.expected);
    CHECK(selection.offset == row.offset);
    CHECK(selection.count == row.count);
  }
  CHECK(selected("Range: bytes=0-0\r\n", 1000, "HEAD").status == all);
  CHECK(selected("Range: bytes=0-0\r\n", 0).status == all);
  CHECK(selected("Range: bytes=-5\r\n", 0).status == all);
  CHECK(selected("").count == 1000);
}

TEST_CASE("selection: conditions") {
  struct Row {
    const char* fields;
    status expected;
  };
  constexpr auto passes = status::ok;
  constexpr auto not_modified = status::not_modified;
  constexpr auto failed = status::precondition_failed;
  for (const Row& row : {
           Row{"If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n", not_modified},
           {"If-Modified-Since: Sunday, 06-Nov-94 08:49:37 GMT\r\n", not_modified},
           {"If-Modified-Since: Sun, 06 Nov 1994 08:49:38 GMT\r\n", not_modified},
           {"If-Modified-Since: Sun, 06 Nov 1994 08:49:36 GMT\r\n", passes},
           {"If-Modified-Since: yesterday\r\n", passes},
           {"If-None-Match: \"e,1\"\r\n", not_modified},
           {"If-None-Match: W/\"e,1\"\r\n", not_modified},
           {"If-None-Match: \"a\", W/\"b,c\" ,,\"e,1\"\r\n", not_modified},
           {"If-None-Match: *\r\n", not_modified},
           {"If-None-Match: \"e\"\r\n", passes},
           {"If-None-Match: e,1\r\n", passes},
           {"If-None-Match: \"e,1\r\n", passes},
           {"If-None-Match: \"x\"\r\nIf-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n", passes},
           {"If-Match: \"e,1\"\r\n", passes},
           {"If-Match: *\r\n", passes},
           {"If-Match: W/\"e,1\"\r\n", failed},
           {"If-Match: \"x\"\r\n", failed},
           {"If-Match: \"e,1\"\r\nIf-Unmodified-Since: Sun, 06 Nov 1994 08:49:36 GMT\r\n", passes},
           {"If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n", passes},
           {"If-Unmodified-Since: Sun, 06 Nov 1994 08:49:36 GMT\r\n", failed},
           {"If-Match: \"x\"\r\nIf-None-Match: *\r\n", failed},
           {"If-None-Match: *\r\nRange: bytes=0-0\r\n", not_modified},
           // Lines of a list are one list (RFC 9110, 5.3).
           {"If-Match: \"x\"\r\nIf-Match: \"e,1\"\r\n", passes},
           {"If-Match: \"e,1\"\r\nIf-Match: \"x\"\r\n", passes},
           {"If-Match: \"x\"\r\nIf-Match: \"y\"\r\n", failed},
           {"If-Match:\r\nIf-Match: \"e,1\"\r\n", passes},
           {"If-None-Match: \"x\"\r\nIf-None-Match: \"e,1\"\r\n", not_modified},
           {"If-None-Match: \"x\"\r\nIf-None-Match: \"y\"\r\n", passes},
           // Several dates are none, and a date that is none is ignored (13.1.3, 13.1.4).
           {"If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\nIf-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
            passes},
           {"If-Unmodified-Since: Sun, 06 Nov 1994 08:49:36 GMT\r\n"
            "If-Unmodified-Since: Sun, 06 Nov 1994 08:49:36 GMT\r\n",
            passes},
           {"If-Modified-Since: Thursday, 06-Nov-80 08:49:37 GMT\r\n", passes},
       }) {
    CAPTURE(row.fields);
    CHECK(selected(row.fields).status == row.expected);
    CHECK(selected(row.fields, 1000, "HEAD").status == row.expected);
  }
}

TEST_CASE("selection: a range of the version that the client has, or all of it") {
  const auto ranged = [](const std::string& condition) {
    return selected("Range: bytes=0-0\r\nIf-Range: " + condition + "\r\n").status;
  };
  CHECK(ranged("\"e,1\"") == status::partial_content);
  CHECK(ranged("W/\"e,1\"") == status::ok);
  CHECK(ranged("\"x\"") == status::ok);
  CHECK(ranged("Sun, 06 Nov 1994 08:49:37 GMT") == status::partial_content);
  CHECK(ranged("Sun, 06 Nov 1994 08:49:38 GMT") == status::ok);
  CHECK(ranged("nonsense") == status::ok);
  CHECK(ranged("\"e,1\"\r\nIf-Range: \"e,1\"") == status::ok);
  CHECK(selected("Range: bytes=0-0\r\nRange: bytes=1-1\r\n").status == status::ok);
  // A date is no strong validator in the second in which the file was changed (RFC 9110, 8.8.2.2).
  const std::string dated = "Range: bytes=0-0\r\nIf-Range: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
  CHECK(selected(dated, 1000, "GET", "\"e\"", 784'111'777).status == status::ok);
}

TEST_CASE("selection: a weak tag equals none where the comparison is a strong one (RFC 9110, 8.8.3.2)") {
  const auto select_weak = [](const std::string& fields) { return selected(fields, 1000, "GET", "W/\"e\"").status; };
  CHECK(select_weak("If-None-Match: W/\"e\"\r\n") == status::not_modified);
  CHECK(select_weak("If-None-Match: \"e\"\r\n") == status::not_modified);
  CHECK(select_weak("If-Match: W/\"e\"\r\n") == status::precondition_failed);
  CHECK(select_weak("If-Match: \"e\"\r\n") == status::precondition_failed);
  CHECK(select_weak("Range: bytes=0-0\r\nIf-Range: W/\"e\"\r\n") == status::ok);
  CHECK(select_weak("Range: bytes=0-0\r\nIf-Range: \"e\"\r\n") == status::ok);
}

TEST_CASE("selection: Last-Modified is never later than Date (RFC 9110, 8.8.2.1)") {
  CHECK(FileVersion{1, 100, "", 200}.last_modified() == 100);
  CHECK(FileVersion{1, 300, "", 200}.last_modified() == 200);
}

TEST_CASE("media types go by the extension, whatever its case") {
  CHECK(media_type("/a.html") == "text/html; charset=utf-8");
  CHECK(media_type("/a.tar.GZ") == "application/gzip");
  CHECK(media_type("/a.png") == "image/png");
  CHECK(media_type("/a.zip") == "application/zip");
  CHECK(media_type("/a.7z") == "application/x-7z-compressed");
  for (const char* const name : {"/a", "/a.", "/a.unknown", "/a.html/b", "/.", ""}) {
    CHECK(media_type(name) == "application/octet-stream");
  }
}

TEST_CASE("access log: a line, and no way to forge one") {
  const sockserv::Address client("192.0.2.1", 1234);
  CHECK(line_of({"GET /a HTTP/1.1", 200, 13, "http://x/", "curl"}, client, "[now]") ==
        "192.0.2.1 - - [now] \"GET /a HTTP/1.1\" 200 13 \"http://x/\" \"curl\"\n");
  CHECK(line_of({"", 408, 0, "", ""}, sockserv::Address(), "[now]") == "- - - [now] \"-\" 408 - \"-\" \"-\"\n");
  CHECK(line_of({"GET /\" \\", 400, 0, "a\nb\r\t", "\x1b[2J\x7f\xc3"}, client, "[now]") ==
        "192.0.2.1 - - [now] \"GET /\\\" \\\\\" 400 - \"a\\x0ab\\x0d\\x09\" \"\\x1b[2J\\x7f\\xc3\"\n");
}

TEST_CASE("response head: fields, and none but them") {
  std::string text;
  ResponseHead(text, status::not_found, 1, true).add("Content-Length", 12U).end();
  CHECK(text.starts_with("HTTP/1.1 404 Not Found\r\nServer: sockserv/"));
  CHECK(text.find("\r\nDate: ") != text.npos);
  CHECK(text.ends_with("GMT\r\nContent-Length: 12\r\n\r\n"));
  ResponseHead(text, status::ok, 1, false);
  CHECK(text.ends_with("Connection: close\r\n"));
  ResponseHead head(text, status::ok, 0, true);
  CHECK(text.ends_with("Connection: keep-alive\r\n"));
  for (const auto& [name, value] : std::vector<std::pair<std::string, std::string>>{{"X", "a\r\nSet-Cookie: b"},
                                                                                    {"X", "a\nb"},
                                                                                    {"X", std::string(1, '\0')},
                                                                                    {"X: y", "z"},
                                                                                    {"X\r\nY", "z"},
                                                                                    {"", "z"}}) {
    CHECK_THROWS_AS(head.add_checked(name, value), std::invalid_argument);
  }
}

TEST_CASE("router: functions by path and method") {
  Router router;
  router.add(verb::get, "/a", [](const Request&) { return Response{.body = "got"}; });
  router.add(verb::post, "/a", [](const Request& request) { return Response{.body = request.body}; });
  const Head head;
  CHECK(router.find(verb::get, "/b") == nullptr);
  CHECK(router.find(verb::get, "/a/") == nullptr);
  CHECK((*router.find(verb::get, "/a"))({head, "/a", "", ""}).body == "got");
  CHECK((*router.find(verb::head, "/a"))({head, "/a", "", ""}).body == "got");
  CHECK((*router.find(verb::post, "/a"))({head, "/a", "", "posted"}).body == "posted");
  try {
    router.find(verb::delete_, "/a");
    FAIL("found");
  } catch (const WrongMethod& wrong) {
    CHECK(wrong.allowed() == "GET, HEAD, POST");
    CHECK(wrong.status() == status::method_not_allowed);
  }
}

/// What is received as a body, and what is left behind it.
std::string body_of(const Head& head, std::string_view input) {
  sockserv::InputFile rfile(input);
  const std::string body = receive_body(rfile, head, 10);
  return body + "|" + rfile.read();
}

TEST_CASE("body: of a length, or in chunks, and no byte of the next request") {
  CHECK(body_of({.content_length = 3}, "abcGET") == "abc|GET");
  CHECK(body_of({}, "GET") == "|GET");
  CHECK(body_of({.chunked = true}, "0\r\n\r\nGET") == "|GET");
}

TEST_CASE("body: chunks") {
  const auto chunked = [](std::string_view input) { return body_of({.chunked = true}, input); };
  CHECK(chunked("3\r\nabc\r\n2;name=value\r\nde\r\n0\r\nTrailer: x\r\n\r\nGET") == "abcde|GET");
  CHECK(chunked("A\r\n0123456789\r\n0\r\n\r\n") == "0123456789|");
  // White space in front of an extension (RFC 9112, 7.1.1).
  CHECK(chunked("3 ;a=b\r\nabc\r\n2\t ; c\r\nde\r\n0 ;x\r\n\r\nGET") == "abcde|GET");
  const auto refused = [&](std::string_view input) { return status_of([&] { chunked(input); }); };
  for (const char* const input : {"x\r\n",
                                  "\r\n",
                                  "-1\r\n",
                                  "0x1\r\n",
                                  "+1\r\n",
                                  " 1\r\n",
                                  "1 \r\n",
                                  "1\t\r\n",
                                  "1 1\r\n",
                                  "1 x;\r\n",
                                  " ;\r\n",
                                  ";\r\n",
                                  "1 \r;\r\n",
                                  "1\nab",
                                  "1\r\nab\r\n0\r\n\r\n",
                                  "1\r\na\n0\r\n\r\n",
                                  "1\r\na0\r\n\r\n",
                                  "0\r\n\n",
                                  "1;a\rb\r\n",
                                  "3"}) {
    CAPTURE(input);
    CHECK(refused(input) == status::bad_request);
  }
  CHECK(refused("1;" + std::string(2000, 'x') + "\r\n") == status::bad_request);
  CHECK(refused("B\r\n") == status::payload_too_large);
  CHECK(refused("FFFFFFFFFFFFFFFFFFFFFFF\r\n") == status::payload_too_large);
  CHECK(refused("6\r\nabcdef\r\n5\r\nabcde\r\n") == status::payload_too_large);
  std::string trailer = "0\r\n";
  for (int i = 0; i < 20; ++i) trailer += "X: " + std::string(1000, 'x') + "\r\n";
  CHECK(refused(trailer) == status::request_header_fields_too_large);
  CHECK(status_of([] { body_of({.content_length = 11}, "abcdefghijk"); }) == status::payload_too_large);
  CHECK_THROWS_AS(chunked("5\r\nab"), sockserv::peer_gone_error);
  CHECK_THROWS_AS(body_of({.content_length = 3}, "ab"), sockserv::peer_gone_error);
}

}  // namespace
