/// What a client may send to http_server: it is answered in the same way however the bytes are cut, every answer is
/// one, and no path leads out.

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <sockserv/servers.hpp>
#include <sockserv/testing.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "http_server/handler.hpp"
#include "http_server/selection.hpp"
#include "http_server/target.hpp"

namespace {

using namespace web;

void check(bool holds) {
  if (!holds) std::abort();
}

const Site& site() {
  static const Site site = [] {
    Site made;
    made.largest_body = 1000;
    const auto describe = [](const Request& request) {
      check(request.path.starts_with('/') && request.path.find("//") == std::string_view::npos);
      check(request.body.size() <= 1000);
      return Response{.body = std::string(request.path) + "?" + std::string(request.query) + " " + request.body};
    };
    for (const char* const path : {"/", "/a", "/a/b"}) {
      made.router.add(http::verb::get, path, describe);
      made.router.add(http::verb::post, path, describe);
    }
    return made;
  }();
  return site;
}

int number_at(std::string_view text, std::size_t place) {
  int number = -1;
  check(place < text.size() && std::from_chars(&text[place], text.data() + text.size(), number).ec == std::errc());
  return number;
}

/// The statuses of what is answered, one after the other, 0 for a request that was not understood: what of it is wrong
/// first depends on what has come.
std::vector<int> statuses(std::string_view input, std::size_t piece_size) {
  static sockserv::TCPServer<HttpHandler> server(sockserv::Address("127.0.0.1", 0), {.bind_and_activate = false});
  server.handler_factory = [] { return std::make_unique<HttpHandler>(site()); };
  std::string output;
  try {
    output = sockserv::testing::converse(server, input, {.piece_size = piece_size});
  } catch (const sockserv::peer_gone_error&) {  // in the middle of a body
    return {-1};
  }
  std::vector<int> all;
  for (std::string_view rest = output; !rest.empty();) {
    check(rest.starts_with("HTTP/1.1 ") && rest.size() > 12);
    const int status = number_at(rest, 9);
    const std::size_t end = rest.find("\r\n\r\n");
    check(status >= 100 && status <= 599 && end != rest.npos);
    const std::string_view head = rest.substr(0, end + 2);
    const std::size_t length = head.find("\r\nContent-Length: ");
    check((length != head.npos) == (status != 100));
    const bool closes = head.find("\r\nConnection: close\r\n") != head.npos;
    all.push_back(status >= 400 && closes ? 0 : status);
    rest.remove_prefix(end + 4);
    const std::size_t size = status == 100 ? 0 : static_cast<std::size_t>(number_at(head, length + 18));
    // An answer to HEAD has no body; a body here begins with neither.
    if (!rest.starts_with("HTTP/1.1 ") && !rest.empty()) {
      check(size <= rest.size());
      rest.remove_prefix(size);
    }
    check(!closes || rest.empty());
  }
  return all;
}

void parse_parts(std::string_view text) {
  const std::size_t end = text.find(end_of_head);
  if (end == text.npos) return;
  try {
    Head head;
    parse_head(text.substr(0, end + end_of_head.size()), {}, head);
    check(!head.chunked || head.content_length == 0);
    const FileVersion file{1000, 784'111'777, "\"etag\"", 784'111'778};
    const Selection part = select(head, file);
    check(part.offset <= file.size && part.count <= file.size - part.offset);
    check((part.count > 0) == (part.status == http::status::ok || part.status == http::status::partial_content));
    const Target target = parse_target(head.method, head.target);
    const std::string inside = target.path + "/";
    for (const std::string_view escape :
         {std::string_view("/../"), std::string_view("/./"), std::string_view("\0", 1)}) {
      check(inside.find(escape) == inside.npos);
    }
    check(parse_target(http::verb::get, percent_encoded(target.path)).path == target.path);
  } catch (const Refusal&) {  // NOLINT(bugprone-empty-catch): one way to end
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  parse_parts(input);
  const std::vector<int> whole = statuses(input, std::max<std::size_t>(size, 1));
  for (const std::size_t piece_size : {1UL, 7UL}) check(statuses(input, piece_size) == whole);
  return 0;
}
