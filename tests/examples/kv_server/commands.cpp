#include <kv_server/commands.hpp>  // first, to test that it is self-contained

#include <doctest/doctest.h>

#include <algorithm>
#include <kv_server/handler.hpp>
#include <sockserv.hpp>
#include <string>

namespace {

using Server = kv::KeyValueServer<sockserv::TCPServer<kv::Handler>>;

/// A server, and what it answers to a client. (What redis-server answers, tests/examples/kv_server.py compares.)
struct Conversation {
  Server server{{"127.0.0.1", 0}, {.bind_and_activate = false}};

  std::string operator()(std::string_view input, std::size_t piece_size = std::numeric_limits<std::size_t>::max()) {
    return sockserv::testing::converse(static_cast<sockserv::BaseServer<kv::Handler>&>(server), input,
                                       {.piece_size = piece_size});
  }
};

TEST_CASE("clients share the data") {
  Conversation ask;
  CHECK(ask("SET key value\r\n") == "+OK\r\n");
  CHECK(ask("*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n") == "$5\r\nvalue\r\n");
}

TEST_CASE("answers do not depend on how requests are cut, nor on how many come at a time") {
  std::string questions;
  for (int i = 0; i < 100; ++i) {
    const std::string key = std::to_string(1000 + i);
    for (const std::string_view part :
         {"SET ", "@", " 1\r\n*2\r\n$4\r\nINCR\r\n$4\r\n", "@", "\r\n\r\nGET ", "@", "\nnope\r\n"}) {
      questions += part == "@" ? key : part;
    }
  }
  const std::string answers = Conversation()(questions);
  CHECK(answers.size() == 100 * std::string("+OK\r\n:2\r\n$1\r\n2\r\n-ERR unknown command 'nope', with args beginning "
                                            "with: \r\n")
                                    .size());
  for (const std::size_t piece : {1U, 2U, 3U, 100U, 1000U}) CHECK(Conversation()(questions, piece) == answers);
}

TEST_CASE("a truncated request has no answer") {
  CHECK(Conversation()("*2\r\n$3\r\nGET\r\n$3\r\nke") == "");
  CHECK(Conversation()("PING\r\nPING") == "+PONG\r\n");
  CHECK(Conversation()("") == "");
}

TEST_CASE("QUIT and errors of the protocol end the conversation") {
  CHECK(Conversation()("QUIT\r\nPING\r\n") == "+OK\r\n");
  CHECK(Conversation()("PING\r\n*x\r\nPING\r\n") == "+PONG\r\n-ERR Protocol error: invalid multibulk length\r\n");
}

TEST_CASE("answers that are larger than any buffer arrive whole") {
  Conversation ask;
  const std::string value(300'000, 'x');
  const std::string bulk = "$300000\r\n" + value + "\r\n";
  CHECK(ask("*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n" + bulk, 4096) == "+OK\r\n");
  CHECK(ask("GET key\r\nGET key\r\nPING\r\n") == bulk + bulk + "+PONG\r\n");
}

TEST_CASE("a server has limits of its own on requests") {
  Conversation ask;
  ask.server.limits.argument_size = 10;
  CHECK(ask("*1\r\n$11\r\n") == "-ERR Protocol error: invalid bulk length\r\n");
  CHECK(ask("CONFIG GET proto-max-bulk-len\r\n") == "*2\r\n$18\r\nproto-max-bulk-len\r\n$2\r\n10\r\n");
}

TEST_CASE("an HTTP request ends the conversation, and nothing behind it runs") {
  Conversation ask;
  for (const std::string_view begin :
       {"POST / HTTP/1.1\r\n", "post /\r\n", "Host: a\r\n", "HOST:a\r\n", "GET / HTTP/1.1\r\n", "get /a b http/1.0\r\n",
        "PUT / HTTP/1.1\r\n", "DELETE /a HTTP/1.1\r\n", "OPTIONS * HTTP/1.1\r\n", "PRI * HTTP/2.0\r\n",
        "*1\r\n$4\r\nPOST\r\n", "PING\r\nPOST / HTTP/1.1\r\n"}) {
    CHECK_MESSAGE(ask(std::string(begin) + "\r\nSET pwned yes\r\n") == "", begin);
  }
  CHECK(ask("GET pwned\r\n") == "$-1\r\n");
  CHECK(ask("SET POST HTTP/1.1\r\nGET Host:\r\nGET POST\r\n") == "+OK\r\n$-1\r\n$8\r\nHTTP/1.1\r\n");
}

TEST_CASE("an HTTP request is logged with its client, once a second") {
  std::string lines;
  const auto log = [&](auto, std::string_view line) { lines.append(line).append("\n"); };
  Conversation ask{.server = Server({"127.0.0.1", 0}, {.bind_and_activate = false, .log = log})};
  ask("POST / HTTP/1.1\r\n");
  ask("POST / HTTP/1.1\r\n");
  CHECK(lines.starts_with("possible security attack: 127.0.0.1:49152 sent an HTTP request"));
  CHECK(std::count(lines.begin(), lines.end(), '\n') == 1);
}

TEST_CASE("keys and patterns have a limit") {
  Conversation ask;
  ask.server.answer_limits.key_size = 5;
  ask.server.answer_limits.pattern_size = 5;
  const std::string key_error = "-ERR key is longer than 5 bytes\r\n";
  CHECK(ask("SET 12345 value\r\nGET 12345\r\n") == "+OK\r\n$5\r\nvalue\r\n");
  for (const std::string_view request :
       {"GET 123456", "SET 123456 1", "DEL a b 123456", "MGET 123456 a", "INCRBY 123456 1"}) {
    CHECK_MESSAGE(ask(std::string(request) + "\r\n") == key_error, request);
  }
  CHECK(ask("KEYS ????*\r\n") == "*1\r\n$5\r\n12345\r\n");
  const std::string pattern_error = "-ERR pattern is longer than 5 bytes\r\n";
  for (const std::string_view request : {"KEYS 12345*", "SCAN 0 MATCH 12345*", "CONFIG GET save 12345*"}) {
    CHECK_MESSAGE(ask(std::string(request) + "\r\n") == pattern_error, request);
  }
  CHECK(ask("ECHO 123456\r\nSET a 123456\r\n") == "$6\r\n123456\r\n+OK\r\n");
}

TEST_CASE("the values of one answer have a limit") {
  Conversation ask;
  ask.server.answer_limits.values_size = 20'000;
  ask("SET large " + std::string(5000, 'x') + "\r\n");
  CHECK(ask("MGET large large large\r\n").size() > 15'000);
  CHECK(ask("MGET large large large large\r\nPING\r\n") ==
        "-ERR the values have more than 20000 bytes; ask for fewer at a time\r\n+PONG\r\n");
}

TEST_CASE("a client's name is its own") {
  Conversation ask;
  CHECK(ask("CLIENT SETNAME me\r\nCLIENT GETNAME\r\n") == "+OK\r\n$2\r\nme\r\n");
  CHECK(ask("CLIENT GETNAME\r\n") == "$-1\r\n");
  CHECK(ask("CLIENT SETNAME " + std::string(1025, 'x') + "\r\n") ==
        "-ERR Client names cannot have more than 1024 bytes.\r\n");
  CHECK(ask("CLIENT SETINFO LIB-NAME a\r\nclient setinfo lib-ver 1\r\n") == "+OK\r\n+OK\r\n");
  CHECK(ask("CLIENT SETINFO a b\r\n") == "-ERR Unrecognized option 'a'\r\n");
}

TEST_CASE("requests are counted") {
  Conversation ask;
  ask("PING\r\nPING\r\n");
  CHECK(ask("INFO stats\r\n").find("\r\ntotal_commands_processed:2\r\n") != std::string::npos);
}

TEST_CASE("the server sweeps now and then what nobody looks for") {
  Conversation ask;
  ask("SET key value PX 1\r\n");
  // The sweep is due at once; a second one, only later.
  const kv::Time expired = kv::system_time() + 1;
  while (kv::system_time() <= expired) continue;
  ask.server.service_actions();
  CHECK(ask.server.store.figures().expired == 1);
}

TEST_CASE("every command says what it takes, and refuses anything else") {
  for (const kv::Command& command : kv::all_commands()) {
    CHECK_MESSAGE(kv::find_command(command.name) == &command, command.name);
    CHECK_FALSE(command.summary.empty());
    const int least = command.arity < 0 ? -command.arity : command.arity;
    CHECK(command.takes(static_cast<std::size_t>(least)));
    if (least > 1) {
      CHECK(Conversation()(std::string(command.name) + "\r\n") ==
            "-ERR wrong number of arguments for '" + std::string(command.name) + "' command\r\n");
    }
    CHECK(command.takes(static_cast<std::size_t>(least) + 1) == (command.arity < 0));
  }
  CHECK(kv::find_command("GeT") == kv::find_command("get"));
  CHECK(kv::find_command("") == nullptr);
  CHECK(kv::find_command("a name that is longer than any") == nullptr);
}

}  // namespace
