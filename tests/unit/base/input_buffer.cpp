#include <sockserv/detail/input_buffer.hpp>  // first, to test that it is self-contained

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <utility>

#include "support/support.hpp"

namespace {

using sockserv::detail::BufferLender;
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

/// Lends memory and knows what has come back.
class CountingLender final : public BufferLender {
 public:
  char* lend() override {
    ++lent;
    return new char[buffer_size];
  }
  void take_back(char* buffer) noexcept override {
    --lent;
    delete[] buffer;
  }
  int lent = 0;
};

TEST_CASE("memory is borrowed when bytes come, and given back by what waits for more") {
  CountingLender lender;
  InputBuffer buffer;
  for (int i = 0; i < 3; ++i) {
    buffer.borrow_from(lender);
    CHECK(lender.lent == 1);
    CHECK(buffer.room().size() == BufferLender::buffer_size);
    buffer.borrow_from(lender);  // has some already
    CHECK(lender.lent == 1);
    add(buffer, "line");
    buffer.consume(4);
    buffer.economize();
    CHECK(lender.lent == 0);
    CHECK(buffer.empty());
  }
}

TEST_CASE("a few bytes without an end are kept in as little memory, and none is lent meanwhile") {
  CountingLender lender;
  InputBuffer buffer;
  std::string expected;
  for (const char* part : {"first, ", "second, ", "third, "}) {
    buffer.borrow_from(lender);
    CHECK(lender.lent == 1);
    add(buffer, part);
    expected += part;
    buffer.economize();
    CHECK(lender.lent == 0);
    CHECK(buffer.unread() == expected);
    buffer.economize();  // changes nothing more
    CHECK(buffer.unread() == expected);
  }
  buffer.consume(7);
  buffer.economize();
  CHECK(buffer.unread() == "second, third, ");
  buffer.put_back("again ");
  CHECK(buffer.unread() == "again second, third, ");
}

TEST_CASE("many unread bytes stay where they are, borrowed or not") {
  CountingLender lender;
  {
    InputBuffer buffer;
    buffer.borrow_from(lender);
    const std::string many(2000, 'x');
    add(buffer, many);
    const char* const place = buffer.unread().data();
    buffer.economize();
    CHECK(lender.lent == 1);
    CHECK(buffer.unread().data() == place);
    CHECK(buffer.unread() == many);
  }
  CHECK(lender.lent == 0);
}

TEST_CASE("what outgrows the borrowed memory gives it back, and moving a buffer moves the loan") {
  CountingLender lender;
  InputBuffer buffer;
  buffer.borrow_from(lender);
  const std::string large(BufferLender::buffer_size + 1, 'x');
  add(buffer, large);
  CHECK(lender.lent == 0);
  CHECK(buffer.unread() == large);

  InputBuffer another;
  another.borrow_from(lender);
  add(another, "text");
  InputBuffer moved = std::move(another);
  CHECK(lender.lent == 1);
  CHECK(moved.unread() == "text");
  moved = InputBuffer();
  CHECK(lender.lent == 0);
}

TEST_CASE("in a forked child one buffer at a time uses memory that was there before") {
  const auto [status, said] = support::in_child([] {
    InputBuffer::use_memory_of_child();
    const char* memory = nullptr;
    bool alone = false;
    {
      InputBuffer first;
      memory = first.room().data();
      InputBuffer second;
      alone = second.room().data() != memory;
    }
    InputBuffer large;
    large.set_initial_capacity(InputBuffer::default_capacity + 1);
    alone = alone && large.room().data() != memory;
    InputBuffer again;
    ::_exit(alone && again.room().data() == memory ? 0 : 1);
  });
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
}

TEST_CASE("a buffer smaller than what is lent has the size that was asked for, and a larger one borrows nothing") {
  CountingLender lender;
  InputBuffer small;
  small.set_initial_capacity(3);
  small.borrow_from(lender);
  CHECK(lender.lent == 1);
  CHECK(small.room().size() == 3);
  add(small, "more than that");
  CHECK(lender.lent == 0);
  CHECK(small.unread() == "more than that");

  InputBuffer large;
  large.set_initial_capacity(BufferLender::buffer_size + 1);
  large.borrow_from(lender);
  CHECK(lender.lent == 0);
  CHECK(large.room().size() == BufferLender::buffer_size + 1);
}

}  // namespace
