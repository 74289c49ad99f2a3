#include <sockserv/detail/input_buffer.hpp>  // first, to test that it is self-contained

#include <doctest/doctest.h>

#include <algorithm>
#include <string>

namespace {

using sockserv::detail::InputBuffer;

void add(InputBuffer& buffer, std::string_view bytes) {
  while (!bytes.empty()) {
    const auto room = buffer.room();
    REQUIRE(!room.empty());
    const std::size_t count = bytes.copy(room.data(), room.size());
    buffer.commit(count);
    bytes.remove_prefix(count);
  }
}

TEST_CASE("bytes come out in the order in which they went in, whatever the capacity") {
  for (const std::size_t capacity : {1U, 2U, 3U, 8U, 100U}) {
    InputBuffer buffer;
    buffer.set_initial_capacity(capacity);
    std::string expected;
    std::string read;
    for (int i = 0; i < 200; ++i) {
      const std::string piece = std::to_string(i) + " ";
      add(buffer, piece);
      expected += piece;
      const std::size_t count = std::min<std::size_t>(buffer.unread().size(), static_cast<std::size_t>(i % 5));
      read += buffer.unread().substr(0, count);
      buffer.consume(count);
    }
    read += buffer.unread();
    CHECK(read == expected);
  }
}

TEST_CASE("what was taken out can be put back, also when its place is gone") {
  InputBuffer buffer;
  buffer.set_initial_capacity(4);
  add(buffer, "abcd");
  buffer.consume(2);
  buffer.put_back("ab");
  CHECK(buffer.unread() == "abcd");
  buffer.put_back("0123456789");
  CHECK(buffer.unread() == "0123456789abcd");
  buffer.put_back("");
  add(buffer, "e");
  CHECK(buffer.unread() == "0123456789abcde");
}

TEST_CASE("a buffer of given content is just that") {
  CHECK(InputBuffer("packet").unread() == "packet");
  CHECK(InputBuffer("").empty());
}

}  // namespace
