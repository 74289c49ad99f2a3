#include <sockserv/files.hpp>  // first, to test that it is self-contained

#include <doctest/doctest.h>

#include <sockserv/connection.hpp>
#include <sockserv/error.hpp>
#include <sockserv/testing.hpp>
#include <thread>
#include <vector>

#include "support/both_ends.hpp"

namespace {

using namespace sockserv;
using namespace std::chrono_literals;

TEST_CASE("lines keep their newline, and the last may have none") {
  InputFile file("one\n\nthree");
  CHECK(file.readline() == "one\n");
  CHECK(file.readline() == "\n");
  CHECK(file.readline() == "three");
  CHECK(file.readline() == std::nullopt);
  CHECK(file.readline() == std::nullopt);
}

TEST_CASE("a file is a range of its lines") {
  InputFile file("one\ntwo\n");
  std::vector<std::string> lines;
  for (const std::string_view line : file) lines.emplace_back(line);
  CHECK(lines == std::vector<std::string>{"one\n", "two\n"});
  static_assert(std::input_iterator<InputFile::iterator>);
}

TEST_CASE("a line beyond the limit is an error that loses nothing") {
  InputFile file("12345678\nrest");
  CHECK_THROWS_WITH_AS(file.readline(8), doctest::Contains("8 bytes without a delimiter"), boost::system::system_error);
  CHECK(file.readline(9) == "12345678\n");
  CHECK_THROWS_AS(file.readline(4), boost::system::system_error);
  CHECK(file.readline(5) == "rest");
  CHECK(file.readline(5) == std::nullopt);
}

TEST_CASE("a line exactly as long as the limit is within it") {
  InputFile file("1234567\n");
  CHECK(file.readline(8) == "1234567\n");
  InputFile without_newline("1234567");
  CHECK(without_newline.readline(8) == "1234567");
}

TEST_CASE("read takes so many bytes, or all, and read_exactly insists") {
  InputFile file("abcdef");
  CHECK(file.read(0).empty());
  CHECK(file.read(2) == "ab");
  CHECK_THROWS_AS(file.read_exactly(5), peer_gone_error);
  CHECK(file.read_exactly(3) == "cde");
  CHECK(file.read() == "f");
  CHECK(file.read().empty());
}

TEST_CASE("peek shows what is there and takes nothing") {
  InputFile file("abc");
  CHECK(file.peek() == "abc");
  CHECK(file.read(1) == "a");
  CHECK(file.peek() == "bc");
  file.read();
  CHECK(file.peek().empty());
}

TEST_CASE("peek waits for as many bytes as it is asked for, and shows what came with them") {
  struct Fives : StreamRequestHandler {
    void handle() override {
      std::string_view bytes = rfile.peek(5);
      for (; bytes.size() >= 5; bytes = rfile.peek(5)) {
        wfile.write(bytes.substr(0, 5));
        wfile.write("|");
        rfile.skip(5);
      }
      CHECK(rfile.peek(5) == bytes);  // the end of the stream is still the end
      wfile.write(bytes);
    }
  };
  for (const std::size_t piece : {1U, 2U, 3U, 5U, 7U, 100U}) {
    CHECK(testing::converse<Fives>("aaaaabbbbbcc", {.piece_size = piece}) == "aaaaa|bbbbb|cc");
  }
}

TEST_CASE("peek shows an item that is larger than the buffer") {
  struct Whole : StreamRequestHandler {
    Whole() { rbufsize = 16; }
    void handle() override {
      const std::string_view bytes = rfile.peek(100'000);
      wfile.write(bytes.substr(0, 100'000));
      rfile.skip(100'000);
      wfile.write(rfile.read());
    }
  };
  const std::string item(100'000, 'x');
  for (const std::size_t piece : {7U, 1000U, 200'000U}) {
    CHECK(testing::converse<Whole>(item + "rest", {.piece_size = piece}) == item + "rest");
  }
}

TEST_CASE("skip reads over bytes at hand, and no others") {
  InputFile file("abcdef");
  const std::string_view bytes = file.peek();
  file.skip(2);
  CHECK(bytes == "abcdef");
  CHECK(file.peek() == "cdef");
  CHECK_THROWS_WITH_AS(file.skip(5), "skip: 5 bytes, of which 4 are at hand; peek(5) waits for them",
                       std::invalid_argument);
  file.skip(0);
  CHECK(file.read() == "cdef");
  file.skip(0);
}

TEST_CASE("any delimiter, also one that arrives in pieces") {
  struct Blocks : StreamRequestHandler {
    void handle() override {
      while (const auto block = rfile.read_until("\r\n\r\n")) {
        for (const std::string_view part : {std::string_view("["), *block, std::string_view("]")}) wfile.write(part);
      }
    }
  };
  for (const std::size_t piece : {1U, 2U, 3U, 4U, 5U, 100U}) {
    CHECK(testing::converse<Blocks>("a\r\nb\r\n\r\n\r\n\r\nend", {.piece_size = piece}) ==
          "[a\r\nb\r\n\r\n][\r\n\r\n][end]");
  }
  InputFile file("abc");
  CHECK_THROWS_AS(file.read_until(""), std::invalid_argument);
}

TEST_CASE("a line longer than the buffer makes it grow") {
  struct Lines : StreamRequestHandler {
    Lines() { rbufsize = 4; }
    void handle() override {
      for (const std::string_view line : rfile) wfile.write(std::to_string(line.size()) + " ");
    }
  };
  CHECK(testing::converse<Lines>(std::string(5000, 'x') + "\n" + std::string(10, 'y') + "\nz") == "5001 11 1 ");
  CHECK_THROWS_AS(testing::converse<Lines>(std::string(70000, 'x')), boost::system::system_error);
}

TEST_CASE("a buffer size of 0 is refused") {
  struct Lines : StreamRequestHandler {
    Lines() { rbufsize = 0; }
    void handle() override {}
  };
  CHECK_THROWS_AS(testing::converse<Lines>(""), std::invalid_argument);
}

TEST_CASE("no read loses bytes to a timeout") {
  BothEnds both;
  both.request.settimeout(10ms);
  both.peer.sendall("half");
  CHECK_THROWS_AS(both.rfile.readline(), timeout_error);
  CHECK_THROWS_AS(both.rfile.read(10), timeout_error);
  CHECK_THROWS_AS(both.rfile.read_exactly(10), timeout_error);
  both.peer.sendall(" and half\n");
  CHECK(both.rfile.readline() == "half and half\n");
}

TEST_CASE("read_exactly loses nothing at the end of the stream") {
  BothEnds both;
  both.peer.sendall("abc");
  both.peer.shutdown(SHUT_WR);
  CHECK_THROWS_AS(both.rfile.read_exactly(4), peer_gone_error);
  CHECK(both.rfile.read() == "abc");
}

TEST_CASE("without a buffer, a write leaves at once") {
  BothEnds both;
  CHECK(both.wfile.write("now") == 3);
  CHECK(both.peer.recv(10) == "now");
  CHECK(both.wfile.write("") == 0);
  CHECK(both.wfile.pending().empty());
}

TEST_CASE("bytes in several places are written as one") {
  const std::vector<boost::asio::const_buffer> parts{boost::asio::buffer("one ", 4), {}, boost::asio::buffer("two", 3)};
  BothEnds both;
  CHECK(both.wfile.write(parts) == 7);
  CHECK(both.peer.recv(20) == "one two");

  both.wfile.set_buffer_size(10);
  both.wfile.write(parts);
  CHECK(both.wfile.pending() == "one two");
  both.wfile.write(parts);
  CHECK(both.peer.recv(20) == "one twoone two");

  OutputFile datagram;
  datagram.write(parts);
  CHECK(datagram.pending() == "one two");
}

TEST_CASE("with a buffer, writes leave when it is full, on flush, and before reading waits") {
  BothEnds both;
  both.wfile.set_buffer_size(8);
  const auto nothing_came = [&] {
    error_code error;
    both.peer.settimeout(1ms);
    char byte = 0;
    both.peer.recv(boost::asio::buffer(&byte, 1), error);
    both.peer.settimeout(std::nullopt);
    return error == errc::timed_out;
  };
  both.wfile.write("abc");
  CHECK(nothing_came());
  CHECK(both.wfile.pending() == "abc");
  both.wfile.write("defgh");
  CHECK(both.peer.recv(20) == "abcdefgh");

  both.wfile.write("one ");
  both.wfile.flush();
  CHECK(both.peer.recv(20) == "one ");

  both.wfile.write("reply");
  std::thread peer([&] {
    CHECK(both.peer.recv(20) == "reply");  // or both would wait indefinitely
    both.peer.sendall("next\n");
  });
  CHECK(both.rfile.readline() == "next\n");
  peer.join();
}

TEST_CASE("a buffered reply to pipelined requests is one write") {
  BothEnds both;
  both.wfile.set_buffer_size(1024);
  both.peer.sendall("1\n2\n3\n");
  both.peer.shutdown(SHUT_WR);
  for (const std::string_view line : both.rfile) both.wfile.write(line);
  CHECK(both.peer.recv(100) == "1\n2\n3\n");
}

TEST_CASE("what a timeout kept from leaving leaves with the next flush") {
  BothEnds both;
  both.request.settimeout(10ms);
  const std::string large(1 << 20, 'x');
  CHECK_THROWS_AS(both.wfile.write(large), timeout_error);
  const std::size_t kept = both.wfile.pending().size();
  CHECK(kept > 0);
  CHECK(kept < large.size());
  both.request.settimeout(std::nullopt);
  std::string received;
  std::thread peer([&] {
    while (received.size() < large.size()) received += both.peer.recv(1 << 16);
  });
  both.wfile.flush();
  peer.join();
  CHECK(received == large);
}

TEST_CASE("a peer that has gone is reported once, not again by the last flush") {
  BothEnds both;
  both.wfile.set_buffer_size(100);
  both.wfile.write("lost");
  both.peer.close();
  CHECK_THROWS_AS(both.wfile.flush(), peer_gone_error);
  CHECK_NOTHROW(both.wfile.flush());
}

TEST_CASE("a datagram's output is collected, and knows whether there is any") {
  OutputFile file;
  CHECK_FALSE(file.written());
  file.write("");
  CHECK(file.written());
  file.write("a");
  file.write(boost::asio::buffer("b", 1));
  file.flush();
  CHECK(file.pending() == "ab");
}

}  // namespace
