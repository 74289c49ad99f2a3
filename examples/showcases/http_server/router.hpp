#pragma once

/// Which function answers which request:
///
///     router.add(http::verb::get, "/hello", [](const Request&) { return Response{.body = "Hello, World!"}; });
///     router.add(http::verb::post, "/echo", [](const Request& request) { return Response{.body = request.body}; });
///
/// What a function throws as a Refusal is the client's answer; any other exception is a 500, and the server's log says
/// what it was. Functions run as handlers do, many at a time: what they share they must protect.

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "head.hpp"

namespace web {

/// What a function is given. All of it lasts as long as the call.
struct Request {
  const Head& head;
  std::string_view path;   ///< Decoded.
  std::string_view query;  ///< As it was sent.
  std::string body;
};

struct Response {
  http::status status = http::status::ok;
  std::string content_type = {};  ///< Empty: text/plain; charset=utf-8.
  std::string body = {};          ///< A 204 has none, nor a type.
  /// More header fields: names and values.
  std::vector<std::pair<std::string, std::string>> fields = {};
};

/// Filled before the server starts; then any number of threads may ask it.
class Router {
 public:
  using Function = std::function<Response(const Request&)>;

  /// `path` is compared as a whole. Whoever may GET may also ask for the HEAD.
  void add(http::verb method, std::string path, Function function);

  /// The function for this request; null if no route has the path.
  /// @throws Refusal (405) if there are routes, but for other methods.
  const Function* find(http::verb method, std::string_view path) const;

 private:
  std::map<std::string, std::map<http::verb, Function>, std::less<>> routes_;
};

/// 405, with the methods that there are: "GET, HEAD".
class WrongMethod : public Refusal {
 public:
  explicit WrongMethod(std::string allowed)
      : Refusal(http::status::method_not_allowed, "allowed here: " + allowed), allowed_(std::move(allowed)) {}
  const std::string& allowed() const noexcept { return allowed_; }

 private:
  std::string allowed_;
};

}  // namespace web
