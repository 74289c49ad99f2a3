#pragma once

/// Serves one connection: request after request, until one of the two sides ends it.

#include <exception>
#include <sockserv/handler.hpp>
#include <string>
#include <variant>

#include "site.hpp"
#include "static_files.hpp"

namespace web {

class HttpHandler : public sockserv::StreamRequestHandler {
 public:
  /// The site must outlive the handler.
  explicit HttpHandler(const Site& site);

  void handle() override;

 private:
  using Answer = std::variant<Response, OpenFile>;

  bool wait_for_request();
  bool serve_request();

  void receive_head();
  std::string_view wait_for_end_of_head();
  std::string body();
  Answer find_answer();
  Answer answer_by_files(const std::string& path);

  void send(const Response& response);
  void send(const OpenFile& file);
  void send_content(const OpenFile& file, const Selection& part);
  void write(std::string_view body);
  void log(http::status status, std::uint64_t size);
  void linger();

  const Site& site_;
  std::string head_text_;  // of the request; what `head_` and so the log look at
  Head head_;
  std::string response_head_;
  bool keep_alive_ = false;   // after the present response
  bool body_unread_ = false;  // of the present request
};

}  // namespace web
