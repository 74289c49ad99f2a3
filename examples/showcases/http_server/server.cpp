// Serves the files of a folder, and pages of its own, to browsers: HTTP/1.1, under every mixin.
//
//     http_server --directory DIR --listen tcp://127.0.0.1:8000     and     curl http://127.0.0.1:8000/
//     http_server --demo                                            and     curl http://127.0.0.1:8000/hello
//
// What Python has as `python3 -m http.server`. A page of your own is a line in `add_demo_pages` below; router.hpp says
// what its function is given.
//
// The way of a request: handler.cpp waits for its head, head.cpp takes it apart, target.cpp decodes its path. Then a
// route's function answers, or static_files.cpp finds a file, of which selection.cpp says what part is wanted. It reads
// like a program for one client that waits wherever it has to, and it is one.

#include <CLI/CLI.hpp>
#include <string>

#include "http_server/handler.hpp"
#include "support/serve.hpp"

namespace web {
namespace {

// snippet: pages
void add_demo_pages(Router& router) {
  router.add(http::verb::get, "/hello", [](const Request&) { return Response{.body = "Hello, World!"}; });
  router.add(http::verb::post, "/echo", [](const Request& request) {
    return Response{.content_type = "application/octet-stream", .body = request.body};
  });
}
// snippet end

/// What the command line says.
struct Arguments {
  std::string directory = ".";
  bool follow_symlinks = false;
  bool demo = false;
  std::string access_log = "-";
};

void declare(CLI::App& app, Arguments& arguments, Site& site) {
  const auto seconds = [&](const char* name, std::chrono::seconds& value, int least, const char* meaning) {
    app.add_option_function<int>(
           name, [&value](int number) { value = std::chrono::seconds(number); }, meaning)
        ->type_name("SECONDS")
        ->check(CLI::Range(least, 86'400))
        ->default_str(std::to_string(value.count()))
        ->group("Limits");
  };
  const auto size = [&](const char* name, auto& value, std::uint64_t least, std::uint64_t most, const char* meaning) {
    app.add_option(name, value, meaning)
        ->type_name("N")
        ->check(CLI::Range(least, most))
        ->capture_default_str()
        ->group("Limits");
  };
  app.add_option("--directory", arguments.directory, "Where the files are")->type_name("DIR")->capture_default_str();
  app.add_flag("--follow-symlinks", arguments.follow_symlinks, "Follow symbolic links that do not leave the directory");
  app.add_flag("--reopen-directory", site.reopens_folder,
               "Open the directory anew for each request: what replaces it,\nor a link to it that is switched, is "
               "served at once");
  app.add_flag("--demo", arguments.demo, "Also answer GET /hello and POST /echo");
  app.add_option("--access-log", arguments.access_log,
                 "Where to note requests, in Apache's Combined format:\na file, - for standard error, or off")
      ->type_name("FILE")
      ->capture_default_str();
  seconds("--keep-alive", site.keep_alive, 0,
          "How long a connection may wait for its next request\n(0: one request only)");
  seconds("--head-time", site.head_time, 1, "How long the head of a request may take");
  seconds("--transfer-time", site.transfer_time, 1, "How long a body or an answer may stand still");
  constexpr std::uint64_t largest_head = std::uint64_t{1} << 30;  // the parser counts in 32 bits
  size("--max-head", site.head_limits.size, 64, largest_head, "The most bytes of a request's head");
  size("--max-target", site.head_limits.target, 1, largest_head, "The most bytes of its target");
  size("--max-fields", site.head_limits.fields, 1, largest_head, "The most fields of its head");
  size("--max-body", site.largest_body, 0, std::uint64_t{1} << 40, "The most bytes of its body");
  app.parse_complete_callback([&] {
    using Links = example::Folder::Links;
    site.folder.emplace(arguments.directory, arguments.follow_symlinks ? Links::followed : Links::refused);
    if (arguments.demo) add_demo_pages(site.router);
    if (arguments.access_log != "off") site.log = AccessLog(arguments.access_log);
  });
}

}  // namespace
}  // namespace web

int main(int argc, char** argv) {
  web::Arguments arguments;
  web::Site site;
  const auto declare = [&](CLI::App& app) { web::declare(app, arguments, site); };
  return example::serve_streams<web::HttpHandler>(argc, argv,
                                                  {.purpose = "Serves the files of a directory over HTTP.",
                                                   .listen = "tcp://127.0.0.1:8000",
                                                   .mixin = "threading",
                                                   .declare_options = declare},
                                                  site);
}
