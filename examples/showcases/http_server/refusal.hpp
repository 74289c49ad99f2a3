#pragma once

#include <boost/beast/http/status.hpp>
#include <stdexcept>
#include <string>

namespace web {

namespace http = boost::beast::http;

/// A request that is answered by an error. What it says is shown to the client.
class Refusal : public std::runtime_error {
 public:
  Refusal(http::status status, const std::string& reason) : runtime_error(reason), status_(status) {}
  http::status status() const noexcept { return status_; }

 private:
  http::status status_;
};

class BadRequest : public Refusal {
 public:
  explicit BadRequest(const std::string& reason) : Refusal(http::status::bad_request, reason) {}
};

}  // namespace web
