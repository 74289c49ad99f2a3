/// http_server's handler, without a socket.

#include "http_server/handler.hpp"  // first, to test that it is self-contained

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <sockserv/servers.hpp>
#include <sockserv/testing.hpp>
#include <sockserv/version.hpp>
#include <vector>

#include "support/support.hpp"

namespace {

using namespace web;
using http::status;
using http::verb;

/// A site with a few files and routes.
struct Scene {
  Scene() {
    std::ofstream(temporary / "a.txt") << "0123456789";
    std::ofstream(temporary / "large") << std::string(100'000, 'x');
    site.folder.emplace(temporary / ".");
    site.router.add(verb::get, "/hello", [](const Request&) { return Response{.body = "Hello, World!"}; });
    site.router.add(verb::get, "/nothing", [](const Request&) { return Response{.status = status::no_content}; });
    site.router.add(verb::post, "/echo", [](const Request& request) { return Response{.body = request.body}; });
    site.router.add(verb::get, "/throw", [](const Request&) -> Response { throw std::runtime_error("a fault"); });
    site.router.add(verb::get, "/teapot",
                    [](const Request&) -> Response { throw Refusal(static_cast<status>(418), "<short> & stout"); });
    site.router.add(verb::get, "/inject", [](const Request& request) {
      return Response{.fields = {{"X-Query", std::string(request.query)}, {"X-Bad", "a\r\nSet-Cookie: b"}}};
    });
  }

  /// What the handler sends to a client that sends that.
  std::string answer(std::string_view input, std::size_t piece_size = 1 << 20) {
    sockserv::TCPServer<HttpHandler> server(sockserv::Address("127.0.0.1", 0), {.bind_and_activate = false});
    server.handler_factory = [this] { return std::make_unique<HttpHandler>(site); };
    return sockserv::testing::converse(server, input, {.piece_size = piece_size});
  }

  support::TemporaryFolder temporary;
  Site site;
};

std::string get(const std::string& target, const std::string& fields = "") {
  return "GET " + target + " HTTP/1.1\r\nHost: x\r\n" + fields + "\r\n";
}

/// The responses without what changes from one second to the next.
std::string without_dates(std::string text) {
  for (const std::string_view name : {"Date: ", "Last-Modified: ", "ETag: "}) {
    for (std::size_t at = 0; (at = text.find(name, at)) != text.npos;) text.erase(at, text.find('\n', at) + 1 - at);
  }
  return text;
}

std::size_t count(std::string_view text, std::string_view part) {
  std::size_t found = 0;
  for (std::size_t at = text.find(part); at != text.npos; at = text.find(part, at + 1)) ++found;
  return found;
}

TEST_CASE("http: a page, a file and an error") {
  Scene scene;
  CHECK(without_dates(scene.answer(get("/hello"))) ==
        "HTTP/1.1 200 OK\r\nServer: sockserv/" SOCKSERV_VERSION_STRING
        "\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 13\r\n\r\nHello, World!");
  CHECK(without_dates(scene.answer(get("/a.txt"))) ==
        "HTTP/1.1 200 OK\r\nServer: sockserv/" SOCKSERV_VERSION_STRING
        "\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 10\r\nAccept-Ranges: bytes\r\n\r\n0123456789");
  CHECK(without_dates(scene.answer(get("/nothing"))) ==
        "HTTP/1.1 204 No Content\r\nServer: sockserv/" SOCKSERV_VERSION_STRING "\r\n\r\n");
  CHECK(scene.answer(get("/none")).starts_with("HTTP/1.1 404 Not Found\r\n"));
  CHECK(scene.answer(get("/teapot")).find("<p>&lt;short&gt; &amp; stout</p>") != std::string::npos);
}

TEST_CASE("http: a large file leaves by sendfile, as it is") {
  Scene scene;
  CHECK(scene.answer(get("/large")).ends_with("\r\n\r\n" + std::string(100'000, 'x')));
  CHECK(scene.answer(get("/large", "Range: bytes=50000-99998\r\n")).ends_with("\r\n\r\n" + std::string(49'999, 'x')));
}

TEST_CASE("http: pipelined requests are answered in order, however they are cut") {
  Scene scene;
  const std::string input =
      get("/hello") + "\r\n" + get("/a.txt", "Range: bytes=2-3\r\n") +
      "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody" +
      "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" +
      "HEAD /a.txt HTTP/1.1\r\nHost: x\r\n\r\n" + get("/hello", "Connection: close\r\n") + get("/hello");
  const std::string whole = without_dates(scene.answer(input));
  CHECK(count(whole, "HTTP/1.1 ") == 6);
  std::size_t at = 0;
  for (const char* const part :
       {"Hello, World!HTTP", "206 Partial", "Content-Range: bytes 2-3/10\r\n\r\n23HTTP", "bodyHTTP", "abcHTTP",
        "Content-Length: 10\r\nAccept-Ranges: bytes\r\n\r\nHTTP", "Connection: close", "Hello, World!"}) {
    CAPTURE(part);
    at = whole.find(part, at);
    REQUIRE(at != whole.npos);
  }
  CHECK(whole.ends_with("Hello, World!"));
  for (const std::size_t piece : {1U, 2U, 3U, 7U}) CHECK(without_dates(scene.answer(input, piece)) == whole);
}

TEST_CASE("http: what cannot be understood ends the connection") {
  Scene scene;
  for (const char* const nonsense : {"GET / HTTP/1.1\r\n\r\n", "nonsense\r\n\r\n", "GET / HTTP/1.1\nHost: x\n\n",
                                     "GET /", "\x16\x03\x01\x02", "\r\n\r\n\r\n\r\n\r\n\r\n"}) {
    CAPTURE(nonsense);
    const std::string answer = scene.answer(get("/hello") + nonsense + get("/hello"));
    CHECK(count(answer, "HTTP/1.1 200 OK") == 1);
    CHECK(count(answer, "HTTP/1.1 400 Bad Request") == 1);
    CHECK(answer.find("Connection: close") != answer.npos);
  }
  CHECK(scene.answer("") == "");
  CHECK(scene.answer("\r\n") == "");
}

TEST_CASE("http: a request that is refused ends the connection only if its body was not taken") {
  Scene scene;
  const std::string follows = get("/hello");
  const auto goes_on = [&](const std::string& request) {
    return scene.answer(request + follows).ends_with("Hello, World!");
  };
  CHECK(goes_on(get("/none")));
  CHECK(goes_on("POST /hello HTTP/1.1\r\nHost: x\r\n\r\n"));
  CHECK(goes_on("BREW /hello HTTP/1.1\r\nHost: x\r\n\r\n"));
  CHECK(goes_on("GET /a.txt HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"));
  CHECK_FALSE(goes_on("POST /hello HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"));
  CHECK_FALSE(goes_on("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1048577\r\n\r\n"));
}

TEST_CASE("http: methods") {
  Scene scene;
  CHECK(scene.answer("DELETE /a.txt HTTP/1.1\r\nHost: x\r\n\r\n").find("\r\nAllow: GET, HEAD\r\n") !=
        std::string::npos);
  CHECK(scene.answer("GET /echo HTTP/1.1\r\nHost: x\r\n\r\n").find("\r\nAllow: POST\r\n") != std::string::npos);
  for (const char* const line :
       {"OPTIONS * HTTP/1.1", "CONNECT x:80 HTTP/1.1", "TRACE / HTTP/1.1", "PUT /new HTTP/1.1"}) {
    CAPTURE(line);
    CHECK(scene.answer(std::string(line) + "\r\nHost: x\r\n\r\n").starts_with("HTTP/1.1 405 "));
  }
  CHECK(scene.answer("BREW / HTTP/1.1\r\nHost: x\r\n\r\n").starts_with("HTTP/1.1 501 "));
  CHECK(scene.answer("HEAD /hello HTTP/1.1\r\nHost: x\r\n\r\n").ends_with("Content-Length: 13\r\n\r\n"));
  CHECK(scene.answer("HEAD /none HTTP/1.1\r\nHost: x\r\n\r\n").ends_with("\r\n\r\n"));
}

TEST_CASE("http: a client that waits for leave to send gets it, unless it is refused") {
  Scene scene;
  const std::string fields = " HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: ";
  CHECK(scene.answer("POST /echo" + fields + "3\r\n\r\nabc").starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 "));
  CHECK(scene.answer("POST /echo" + fields + "9999999\r\n\r\n").starts_with("HTTP/1.1 413 "));
  CHECK(scene.answer("POST /hello" + fields + "3\r\n\r\n").starts_with("HTTP/1.1 405 "));
  CHECK(scene.answer("POST /echo" + fields + "0\r\n\r\n").starts_with("HTTP/1.1 200 "));
}

TEST_CASE("http: a function that throws is a 500, and reported") {
  Scene scene;
  CHECK_THROWS_WITH(scene.answer(get("/throw")), "a fault");
  CHECK_THROWS_AS(scene.answer(get("/inject?x")), std::invalid_argument);  // nothing of it has been sent
}

TEST_CASE("http: what goes wrong with an answer before it leaves is a 500, in the log as well") {
  Scene scene;
  const std::string path = scene.temporary / "log";
  scene.site.log = AccessLog(path);
  CHECK_THROWS_WITH(scene.answer(get("/throw")), "a fault");
  CHECK_THROWS_AS(scene.answer(get("/inject?x")), std::invalid_argument);
  std::vector<const char*> requests{"GET /throw", "GET /inject?x"};
  if (std::filesystem::exists("/sys/kernel/uevent_seqnum")) {  // files there have less in them than their size says
    scene.site.folder.emplace("/sys/kernel");
    CHECK_THROWS_WITH(scene.answer(get("/uevent_seqnum")), "a file has become shorter before it was sent");
    requests.push_back("GET /uevent_seqnum");
  }
  std::ifstream file(path);
  std::string line;
  for (const char* const request : requests) {
    CAPTURE(request);
    CHECK(std::getline(file, line));
    CHECK(line.find(std::string("\"") + request + " HTTP/1.1\" 500 ") != line.npos);
  }
}

TEST_CASE("http: an index.html that is no file is none") {
  Scene scene;
  std::filesystem::create_directories(scene.temporary / "folder/index.html");
  std::filesystem::create_directories(scene.temporary / "fifo");
  REQUIRE(::mkfifo((scene.temporary / "fifo/index.html").c_str(), 0600) == 0);
  CHECK(scene.answer(get("/folder/")).find("<title>Listing of /folder/</title>") != std::string::npos);
  CHECK(scene.answer(get("/fifo/")).find("<title>Listing of /fifo/</title>") != std::string::npos);
  CHECK(scene.answer(get("/folder/index.html")).find("\r\nLocation: /folder/index.html/\r\n") != std::string::npos);
}

TEST_CASE("http: a folder is listed, has an index, or is elsewhere") {
  Scene scene;
  const std::string name = "<script>alert('&')<%2f\"\n";
  std::filesystem::create_directories(scene.temporary / "sub dir");
  std::ofstream(scene.temporary / ("sub dir/" + name)) << "";
  const std::string answer = scene.answer(get("/sub%20dir/"));
  CHECK(answer.find("<title>Listing of /sub dir/</title>") != answer.npos);
  CHECK(
      answer.find("<a href=\"./%3Cscript%3Ealert%28%27%26%27%29%3C%252f%22%0A\">&lt;script&gt;alert(&#x27;&amp;&#x27;)"
                  "&lt;%2f&quot;\n</a>") != answer.npos);
  CHECK(scene.answer(get("/sub%20dir?q=1")).find("301 Moved") != std::string::npos);
  CHECK(scene.answer(get("/sub%20dir?q=1")).find("\r\nLocation: /sub%20dir/?q=1\r\n") != std::string::npos);
  CHECK(scene.answer(get("//sub%20dir")).find("\r\nLocation: /sub%20dir/\r\n") != std::string::npos);
  std::ofstream(scene.temporary / "sub dir/index.html") << "the index";
  CHECK(scene.answer(get("/sub%20dir/")).ends_with("the index"));
  CHECK(scene.answer(get("/sub%20dir/")).find("Content-Type: text/html") != std::string::npos);
  CHECK(scene.answer(get("/a.txt/")).starts_with("HTTP/1.1 404 "));
}

TEST_CASE("http: without a connection to keep, it is closed after each answer") {
  Scene scene;
  scene.site.keep_alive = std::chrono::seconds(0);
  const std::string answer = scene.answer(get("/hello") + get("/hello"));
  CHECK(count(answer, "HTTP/1.1 200 OK") == 1);
  CHECK(answer.find("\r\nConnection: close\r\n") != answer.npos);
}

TEST_CASE("http: the log has each request, and what came instead of one") {
  Scene scene;
  const std::string path = scene.temporary / "log";
  scene.site.log = AccessLog(path);
  scene.answer(get("/hello", "Referer: r\r\nUser-Agent: a\"b\r\n") + "HEAD /hello HTTP/1.1\r\nHost: x\r\n\r\n" +
               get("/large") + "GET /\x01\r\nnonsense\r\n\r\n");
  std::ifstream file(path);
  std::string line;
  for (const char* const ending :
       {R"("GET /hello HTTP/1.1" 200 13 "r" "a\"b")", R"("HEAD /hello HTTP/1.1" 200 - "-" "-")",
        R"("GET /large HTTP/1.1" 200 100000 "-" "-")"}) {
    CHECK(std::getline(file, line));
    CHECK(line.starts_with("127.0.0.1 - - ["));
    CHECK(line.ends_with(ending));
  }
  CHECK(std::getline(file, line));
  CHECK(line.find("\"GET /\\x01\" 400 ") != line.npos);
  CHECK_FALSE(std::getline(file, line));
  CHECK_THROWS_AS(AccessLog(scene.temporary / "none/log"), boost::system::system_error);
}

}  // namespace
