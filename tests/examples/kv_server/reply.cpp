#include <kv_server/reply.hpp>  // first, to test that it is self-contained

#include <doctest/doctest.h>

#include <algorithm>
#include <limits>
#include <string>
#include <utility>

namespace {

using namespace kv;

/// What is to be sent next.
std::string next_of(const Reply& reply) {
  std::string bytes;
  CHECK(reply.buffers().size() <= Reply::most_buffers);
  for (const auto& part : reply.buffers()) bytes.append(static_cast<const char*>(part.data()), part.size());
  return bytes;
}

/// All that is to be sent, a given number of bytes at a time.
std::string all_of(Reply& reply, std::size_t piece = std::numeric_limits<std::size_t>::max()) {
  std::string bytes;
  while (!reply.empty()) {
    const std::size_t before = reply.size();
    const std::string part = next_of(reply).substr(0, piece);
    REQUIRE(part.size() > 0);
    bytes += part;
    reply.remove_prefix(part.size());
    CHECK(reply.size() == before - part.size());
  }
  CHECK(next_of(reply).empty());
  return bytes;
}

TEST_CASE("replies are what RESP2 says") {
  Reply reply;
  reply.status("OK");
  reply.integer(-5);
  reply.array(3);
  reply.bulk("a\r\nb");
  reply.bulk("");
  reply.null();
  reply.error("ERR one\r\ntwo");
  reply.integer(std::numeric_limits<std::int64_t>::min());
  CHECK(next_of(reply) ==
        "+OK\r\n:-5\r\n*3\r\n$4\r\na\r\nb\r\n$0\r\n\r\n$-1\r\n-ERR one  two\r\n:-9223372036854775808\r\n");
  reply.clear();
  CHECK(next_of(reply) == "");
  CHECK(reply.empty());
}

TEST_CASE("replies of any sizes leave in their order, however few bytes are sent at a time") {
  const Value small("small");
  const Value large(std::string(100'000, 'x'));
  const std::string long_text(70'000, 'y');
  const auto fill = [&](Reply& reply, std::string& expected) {
    for (int i = 0; i < 12; ++i) {
      reply.bulk(large);
      expected += "$100000\r\n" + std::string(large.bytes()) + "\r\n";
      reply.bulk(small);
      expected += "$5\r\nsmall\r\n";
      reply.bulk(long_text);
      expected += "$70000\r\n" + long_text + "\r\n";
      reply.integer(7);
      expected += ":7\r\n";
    }
  };
  for (const std::size_t piece : {std::size_t{997}, std::size_t{65536}, std::numeric_limits<std::size_t>::max()}) {
    Reply reply;
    std::string expected;
    fill(reply, expected);
    CHECK(reply.size() == expected.size());
    CHECK((all_of(reply, piece) == expected));
    reply.status("OK");
    CHECK(all_of(reply) == "+OK\r\n");
  }
}

TEST_CASE("a reply of a large value shares its bytes, until they are sent") {
  const Value large(std::string(100'000, 'x'));
  const long users = large.shared().use_count();
  Reply reply;
  reply.bulk(large);
  CHECK(large.shared().use_count() == users + 1);
  all_of(reply);
  CHECK(large.shared().use_count() == users);
  reply.bulk(large);
  reply.clear();
  CHECK(large.shared().use_count() == users);
}

TEST_CASE("what was put together last can be taken off, whatever it was") {
  const Value large(std::string(100'000, 'x'));
  for (const bool is_large : {false, true}) {
    Reply reply;
    if (is_large) reply.bulk(large);
    reply.status("OK");
    const std::size_t size = reply.size();
    for (int pieces = 0; pieces < 3; ++pieces) {
      const Reply::End end = reply.end();
      reply.integer(1);
      for (int i = 0; i < pieces; ++i) reply.bulk(large);
      reply.cut(end);
      CHECK(reply.size() == size);
    }
    reply.integer(2);
    CHECK((all_of(reply) == (is_large ? "$100000\r\n" + std::string(large.bytes()) + "\r\n" : "") + "+OK\r\n:2\r\n"));
  }
}

TEST_CASE("replies that were made apart can be appended") {
  const Value large(std::string(100'000, 'x'));
  for (const bool is_large : {false, true}) {
    Reply reply;
    reply.array(2);
    reply.remove_prefix(1);
    Reply elements;
    elements.integer(1);
    is_large ? elements.bulk(large) : elements.bulk("x");
    reply.append(std::move(elements));
    reply.status("OK");
    const std::string bulk = is_large ? "$100000\r\n" + std::string(large.bytes()) + "\r\n" : "$1\r\nx\r\n";
    CHECK((all_of(reply) == "2\r\n:1\r\n" + bulk + "+OK\r\n"));
  }
}

}  // namespace
