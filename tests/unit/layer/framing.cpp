#include <sockserv/layer/framing.hpp>  // first, to test that it is self-contained

#include <doctest/doctest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <limits>
#include <sockserv/error.hpp>
#include <sockserv/options.hpp>
#include <sockserv/server/tcp.hpp>
#include <sockserv/testing.hpp>
#include <string>
#include <thread>
#include <vector>

#include "support/both_ends.hpp"
#include "support/messages.hpp"
#include "support/support.hpp"

namespace {

using namespace sockserv;
using namespace support;
using namespace std::chrono_literals;
using namespace std::string_literals;
using boost::system::system_error;
using sockserv::testing::converse;

constexpr std::uint64_t two_to_31 = std::uint64_t{1} << 31;
constexpr std::size_t any_size = std::numeric_limits<std::size_t>::max();

const std::array all_prefixes{LengthPrefix::uint32_big_endian, LengthPrefix::int32_little_endian,
                              LengthPrefix::uint64_big_endian, LengthPrefix::multiprocessing};

std::string header(std::uint64_t size, LengthPrefix prefix) {
  return std::string(MessageHeader(size, {prefix, any_size}).bytes());
}

/// The code of the error that `body` throws.
template <class Body>
error_code error_code_of(Body&& body) {
  try {
    body();
    return {};
  } catch (const system_error& failure) {
    return failure.code();
  }
}

TEST_CASE("each length prefix is written as it is documented") {
  CHECK(header(0x01020304, LengthPrefix::uint32_big_endian) == "\x01\x02\x03\x04");
  CHECK(header(0xFFFFFFFF, LengthPrefix::uint32_big_endian) == "\xFF\xFF\xFF\xFF");
  CHECK(header(0x01020304, LengthPrefix::int32_little_endian) == "\x04\x03\x02\x01");
  CHECK(header(0x0102030405060708, LengthPrefix::uint64_big_endian) == "\x01\x02\x03\x04\x05\x06\x07\x08");
  CHECK(header(0x01020304, LengthPrefix::multiprocessing) == "\x01\x02\x03\x04");
  CHECK(header(two_to_31 - 1, LengthPrefix::multiprocessing) == "\x7F\xFF\xFF\xFF");
  CHECK(header(two_to_31, LengthPrefix::multiprocessing) == "\xFF\xFF\xFF\xFF\0\0\0\0\x80\0\0\0"s);
}

TEST_CASE("a message longer than its prefix can say has no header") {
  const auto refused = [](std::uint64_t size, LengthPrefix prefix) {
    return error_code_of([&] { MessageHeader(size, {prefix, any_size}); }) == errc::message_too_long;
  };
  CHECK_FALSE(refused(0xFFFFFFFF, LengthPrefix::uint32_big_endian));
  CHECK(refused(0x100000000, LengthPrefix::uint32_big_endian));
  CHECK_FALSE(refused(two_to_31 - 1, LengthPrefix::int32_little_endian));
  CHECK(refused(two_to_31, LengthPrefix::int32_little_endian));
  CHECK_FALSE(refused(any_size, LengthPrefix::uint64_big_endian));
  CHECK_FALSE(refused(any_size, LengthPrefix::multiprocessing));
}

TEST_CASE("messages come out as they went in, however the stream is cut") {
  const std::vector<std::string> messages{"", "a", "", "two\nlines\n", "nul \0 and \xFF"s, std::string(300, 'x'), ""};
  for (const LengthPrefix prefix : all_prefixes) {
    const FramingOptions options{.prefix = prefix};
    std::string stream;
    for (const auto& message : messages) stream += framed(message, options);
    for (std::size_t piece_size = 1; piece_size <= stream.size(); ++piece_size) {
      CHECK(decoded(stream, options, piece_size) == Decoded{messages, {}});
    }
    // In two pieces: cut once, at every byte.
    for (std::size_t cut = 0; cut <= stream.size(); ++cut) {
      MessageDecoder decoder(options);
      std::vector<std::string> found;
      for (std::string_view piece : {std::string_view(stream).substr(0, cut), std::string_view(stream).substr(cut)}) {
        while (const auto message = decoder.decode(piece)) found.emplace_back(*message);
        CHECK(piece.empty());
      }
      CHECK(found == messages);
    }
  }
}

TEST_CASE("a stream that ends within a message is truncated, wherever that is") {
  for (const LengthPrefix prefix : all_prefixes) {
    const FramingOptions options{.prefix = prefix};
    const std::string first = framed("first", options);
    const std::string second = framed("second", options);
    for (std::size_t left = 1; left < second.size(); ++left) {
      const Decoded expected{{"first"}, errc::truncated_message};
      CHECK(decoded(first + second.substr(0, left), options) == expected);
      CHECK(decoded(first + second.substr(0, left), options, 1) == expected);
    }
    CHECK(decoded(first, options) == Decoded{{"first"}, {}});
    CHECK(decoded("", options) == Decoded{});
  }
  // Also in the second part of a length.
  const FramingOptions options{LengthPrefix::multiprocessing, any_size};
  const std::string large = header(two_to_31, options.prefix);
  for (std::size_t left = 1; left <= large.size(); ++left) {
    CHECK(decoded(large.substr(0, left), options, 1) == Decoded{{}, errc::truncated_message});
  }
}

TEST_CASE("a truncated message says how far it came") {
  const auto end_after = [](std::string_view bytes) {
    MessageDecoder decoder;
    decoder.decode(bytes);
    decoder.finish();
  };
  CHECK_THROWS_WITH_AS(end_after("\0\0\0"s), doctest::Contains("messages: 3 bytes of a length"), peer_gone_error);
  CHECK_THROWS_WITH_AS(end_after("\0\0\0\x05"s), doctest::Contains("messages: 0 bytes of 5"), peer_gone_error);
  CHECK_THROWS_WITH_AS(end_after("\0\0\0\x05"s
                                 "four"),
                       doctest::Contains("messages: 4 bytes of 5"), peer_gone_error);
}

TEST_CASE("the longest message is as long as max_message") {
  for (const LengthPrefix prefix : all_prefixes) {
    for (const std::size_t limit : {0U, 1U, 255U, 256U, 1000U}) {
      const FramingOptions options{prefix, limit};
      const std::string longest(limit, 'x');
      CHECK(decoded(framed(longest, options), options, 1) == Decoded{{longest}, {}});
      CHECK(error_code_of([&] { MessageHeader(limit + 1, options); }) == errc::message_too_long);

      // Known from the length alone.
      CHECK(decoded(header(limit + 1, prefix), options) == Decoded{{}, errc::message_too_long});
      CHECK(decoded(header(limit + 1, prefix), options, 1) == Decoded{{}, errc::message_too_long});
    }
  }
}

TEST_CASE("a negative length is refused") {
  const auto refused = [](std::string_view bytes, LengthPrefix prefix) {
    return decoded(bytes, {prefix, any_size}, 1) == Decoded{{}, errc::bad_message_length};
  };
  CHECK(refused("\xFF\xFF\xFF\xFF", LengthPrefix::int32_little_endian));    // -1
  CHECK(refused("\0\0\0\x80"s, LengthPrefix::int32_little_endian));         // the lowest
  CHECK(refused("\xFF\xFF\xFF\xFE", LengthPrefix::multiprocessing));        // -2
  CHECK(refused("\x80\0\0\0"s, LengthPrefix::multiprocessing));             // the lowest
  CHECK_FALSE(refused("\xFF\xFF\xFF\xFF", LengthPrefix::multiprocessing));  // -1: the length follows
  CHECK_FALSE(refused("\xFF\xFF\xFF\xFF", LengthPrefix::uint32_big_endian));
  std::string_view minus_two = "\xFF\xFF\xFF\xFE";
  MessageDecoder decoder({.prefix = LengthPrefix::multiprocessing});
  CHECK_THROWS_WITH(decoder.decode(minus_two), doctest::Contains("messages: a length of -2"));
}

TEST_CASE("the long form of multiprocessing may announce a short message, as in Python") {
  const std::string stream =
      "\xFF\xFF\xFF\xFF\0\0\0\0\0\0\0\x03"s
      "abc";
  for (const std::size_t piece_size : {1U, 5U, 100U}) {
    CHECK(decoded(stream, {.prefix = LengthPrefix::multiprocessing}, piece_size) == Decoded{{"abc"}, {}});
  }
}

TEST_CASE("after a length that is refused, every further call refuses it") {
  MessageDecoder decoder({.max_message = 10});
  for (const std::string& piece : {"\0\0\0\x0B"s
                                   "hello worl",
                                   "\0\0\0\x01"s
                                   "a"}) {
    std::string_view bytes = piece;
    CHECK_THROWS_WITH_AS(decoder.decode(bytes), doctest::Contains("11 bytes, where max_message allows 10"),
                         system_error);
  }
}

TEST_CASE("a message that arrives whole is not copied, and decoding stops behind it") {
  const std::string stream = framed("one") + framed("two") + "\0"s;
  MessageDecoder decoder;
  std::string_view bytes = stream;
  CHECK(decoder.decode(bytes)->data() == stream.data() + 4);
  CHECK(bytes.size() == 8);
  CHECK(decoder.begun() == 0);
  CHECK(decoder.decode(bytes) == "two");
  CHECK_FALSE(decoder.decode(bytes));
  CHECK(bytes.empty());
  CHECK(decoder.begun() == 1);
}

TEST_CASE("the options change between messages only") {
  MessageDecoder decoder({.max_message = 1});
  decoder.set_options({LengthPrefix::int32_little_endian, 5});
  std::string_view bytes("\x05\0\0\0fi", 6);
  CHECK_FALSE(decoder.decode(bytes));
  CHECK_THROWS_AS(decoder.set_options({}), std::logic_error);
  bytes = "ve";
  CHECK_FALSE(decoder.decode(bytes));
  bytes = "!";
  CHECK(decoder.decode(bytes) == "five!");
  CHECK_NOTHROW(decoder.set_options({}));
}

/// How much address space this process uses.
std::size_t address_space() {
  std::size_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  return pages * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

TEST_CASE("a length takes no memory before the message has come") {
  const auto [status, errors] = in_child([] {
    const rlim_t limit = address_space() + (std::size_t{64} << 20);
    const rlimit little{limit, limit};
    if (::setrlimit(RLIMIT_AS, &little) != 0) ::_exit(2);
    std::string_view bytes = "\xFF\xFF\xFF\xFF and the first bytes of so many";
    MessageDecoder permissive({.max_message = any_size});
    if (permissive.decode(bytes)) ::_exit(3);
    for (int i = 0; i < 1000; ++i) {
      bytes = "and more";
      if (permissive.decode(bytes)) ::_exit(4);
    }
    ::_exit(decoded("\xFF\xFF\xFF\xFF").error == errc::message_too_long ? 0 : 5);
  });
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
  CHECK(errors.empty());
}

static_assert(std::input_iterator<MessageStream::iterator>);

struct EchoMessages : MessageRequestHandler {
  void handle() override {
    for (auto& message : messages) messages.send(message);
  }
};

TEST_CASE("a handler echoes messages, however they arrive") {
  const std::string stream = framed("") + framed("hello") + framed(std::string(40'000, 'x')) + framed("end");
  for (const std::size_t piece_size : {std::size_t{1}, std::size_t{3}, std::size_t{20'000}, any_size}) {
    CHECK(converse<EchoMessages>(stream, {.piece_size = piece_size}) == stream);
  }
  CHECK(converse<EchoMessages>("").empty());
  for (const LengthPrefix prefix : all_prefixes) {
    TCPServer<EchoMessages> server({"127.0.0.1", 0}, {.bind_and_activate = false});
    server.handler_factory = [&] {
      auto handler = std::make_unique<EchoMessages>();
      handler->framing.prefix = prefix;
      return handler;
    };
    const std::string all = framed("one", {.prefix = prefix}) + framed("", {.prefix = prefix});
    CHECK(converse(server, all, {.piece_size = 1}) == all);
  }
}

TEST_CASE("the limit of a handler's messages holds for both directions") {
  struct Short : EchoMessages {
    Short() { framing.max_message = 4; }
  };
  CHECK(converse<Short>(framed("four")) == framed("four"));
  CHECK(error_code_of([] { converse<Short>(framed("fiver")); }) == errc::message_too_long);

  struct Talkative : MessageRequestHandler {
    Talkative() { framing.max_message = 4; }
    void handle() override {
      CHECK(error_code_of([&] { messages.send("fiver"); }) == errc::message_too_long);
      messages.send("four");
    }
  };
  CHECK(converse<Talkative>("") == framed("four"));  // nothing of the other has left
}

TEST_CASE("a handler that has received too much may still answer") {
  struct Polite : MessageRequestHandler {
    Polite() { framing.max_message = 10; }
    void handle() override {
      CHECK_THROWS_AS(messages.receive(), system_error);
      CHECK_THROWS_AS(messages.receive(), system_error);
      messages.send("too long");
    }
  };
  CHECK(converse<Polite>(framed("hello world"), {.piece_size = 1}) == framed("too long"));
}

TEST_CASE("a client that goes in the middle of a message has gone") {
  CHECK(error_code_of([] { converse<EchoMessages>(framed("hello").substr(0, 6)); }) == errc::truncated_message);
  CHECK_THROWS_AS(converse<EchoMessages>("\0"s), peer_gone_error);
}

TEST_CASE("lines may come before messages, and between them") {
  struct Mixed : MessageRequestHandler {
    void handle() override {
      wfile.write(*rfile.readline());
      messages.send(*messages.receive());
      wfile.write(*rfile.readline());
      messages.send(*messages.receive());
      CHECK(messages.receive() == std::nullopt);
      CHECK(messages.receive() == std::nullopt);
    }
  };
  const std::string stream = "hello\n" + framed("one") + "between\n" + framed("two");
  for (const std::size_t piece_size : {std::size_t{1}, std::size_t{7}, any_size}) {
    CHECK(converse<Mixed>(stream, {.piece_size = piece_size}) == stream);
  }
}

TEST_CASE("several buffers are one message") {
  struct Parts : MessageRequestHandler {
    void handle() override {
      const std::string one = "one, ";
      messages.send(std::array{boost::asio::buffer(one), boost::asio::buffer("two", 3)});
      messages.send(boost::asio::buffer("three", 5));
      messages.send(std::vector<boost::asio::const_buffer>{});
      messages.send(std::vector(100, boost::asio::buffer("ha", 2)));
    }
  };
  std::string laughter;
  for (int i = 0; i < 100; ++i) laughter += "ha";
  CHECK(converse<Parts>("") == framed("one, two") + framed("three") + framed("") + framed(laughter));
}

struct MessageConnection : BothEnds {
  using BothEnds::BothEnds;
  MessageStream messages{rfile, wfile};
};

TEST_CASE("a message leaves with its length in one system call") {
  MessageConnection records(SOCK_SEQPACKET);
  records.messages.send("hello");
  CHECK(records.peer.recv(100) == framed("hello"));
  records.messages.send(std::vector(15, boost::asio::buffer("x", 1)));
  CHECK(records.peer.recv(100) == framed(std::string(15, 'x')));
  records.messages.send("");
  CHECK(records.peer.recv(100) == framed(""));
}

TEST_CASE("messages keep their order with what a buffered wfile holds") {
  MessageConnection records(SOCK_SEQPACKET);
  records.wfile.set_buffer_size(30);
  records.wfile.write("before ");
  records.messages.send("one");
  records.messages.send("two");
  records.wfile.write(" after");
  CHECK(records.wfile.pending() == "before " + framed("one") + framed("two") + " after");
  records.messages.send("this is too much for the buffer");
  CHECK(records.peer.recv(100) ==
        "before " + framed("one") + framed("two") + " after" + framed("this is too much for the buffer"));
  CHECK(records.wfile.pending().empty());
}

TEST_CASE("buffered replies leave before receiving waits, and in one piece") {
  MessageConnection both;
  both.wfile.set_buffer_size(1024);
  both.peer.sendall(framed("1") + framed("2"));
  both.messages.send(*both.messages.receive());
  both.messages.send(*both.messages.receive());
  std::thread peer([&] {
    CHECK(both.peer.recv(100) == framed("1") + framed("2"));  // or both would wait indefinitely
    both.peer.shutdown(SHUT_WR);
  });
  CHECK(both.messages.receive() == std::nullopt);
  peer.join();
}

TEST_CASE("receiving goes on where a timeout stopped it") {
  const std::string stream = framed("first") + framed("second");
  for (std::size_t cut = 0; cut < stream.size(); ++cut) {
    MessageConnection both;
    both.request.settimeout(1ms);
    std::vector<std::string> received;
    const auto receive_all = [&] {
      for (auto& message : both.messages) received.emplace_back(message);
    };
    both.peer.sendall(stream.substr(0, cut));
    CHECK_THROWS_AS(receive_all(), timeout_error);
    CHECK_THROWS_AS(receive_all(), timeout_error);
    both.peer.sendall(stream.substr(cut));
    both.peer.shutdown(SHUT_WR);
    receive_all();
    CHECK(received == std::vector<std::string>{"first", "second"});
  }
}

TEST_CASE("a message that a timeout stopped on its way out leaves whole") {
  MessageConnection both;
  both.request.settimeout(10ms);
  const std::string large(1 << 20, 'x');
  CHECK_THROWS_AS(both.messages.send(large), timeout_error);
  both.request.settimeout(std::nullopt);
  std::string received;
  std::thread peer([&] {
    for (std::string some; !(some = both.peer.recv(1 << 16)).empty();) received += some;
  });
  both.messages.send("next");
  both.request.shutdown(SHUT_WR);
  peer.join();
  CHECK(decoded(received) == Decoded{{large, "next"}, {}});
}

TEST_CASE("min_receive_rate counts a message from its first byte") {
  struct Slow : MessageRequestHandler {
    void handle() override { messages.receive(); }
  };
  TCPServer<Slow> server({"127.0.0.1", 0}, quiet({.min_receive_rate = 1'000'000}));
  StreamClient client(server.server_address());
  client.send(
      "\0\0\0\x05"s
      "hel");
  server.handle_request();  // ends by itself
  CHECK(server.stats().aborted_receive_rate == 1);
}

}  // namespace
