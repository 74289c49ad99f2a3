#pragma once

/// Serves one connection: request after request, until one of the two sides ends it.

#include <cstdint>
#include <exception>
#include <sockserv/handler.hpp>
#include <string>

#include "response_head.hpp"
#include "site.hpp"
#include "static_files.hpp"

namespace web {

class HttpHandler : public sockserv::StreamRequestHandler {
 public:
  /// The site must outlive the handler.
  explicit HttpHandler(const Site& site);

  void setup() override;
  void handle() override;

 private:
  /// What is sent behind `response_head_`, and noted in the log.
  struct Answer {
    http::status status = http::status::ok;
    std::string body = {};
    example::Descriptor file = {};  ///< If there is one: a large part of it is sent instead of `body`.
    std::uint64_t offset = 0;
    std::uint64_t count = 0;
  };

  bool wait_for_request();
  bool serve_request();

  void receive_head();
  std::string_view wait_for_end_of_head();
  std::string body();
  Answer find_answer();
  Answer answer_by_files(const std::string& path);
  ResponseHead begin_head(http::status status);
  Answer answer_with(Response response);
  Answer answer_with(OpenFile file);

  void send(const Answer& answer);
  void flush();
  template <class Operation>
  void sending(const Operation& operation);
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
