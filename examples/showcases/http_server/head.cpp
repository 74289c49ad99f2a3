#include "head.hpp"

#include <algorithm>
#include <boost/beast/core/string.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/rfc7230.hpp>
#include <charconv>
#include <functional>
#include <string>
#include <utility>

#include "authority.hpp"

namespace web {
namespace {

using BeastView = boost::beast::string_view;
using boost::beast::iequals;
using boost::system::error_code;
using http::field;
using http::status;

/// Beast's parser, which tells what it finds; it keeps nothing and so takes no memory.
class Parser final : public http::basic_parser<true> {
 public:
  /// Parses `text`; the views that it gives are those of `original`, which has the same length.
  Parser(std::string_view text, std::string_view original, const HeadLimits& limits, Head& head)
      : text_(text), original_(original), limits_(limits), head_(head) {
    header_limit(static_cast<std::uint32_t>(limits.size));
    body_limit(boost::none);
  }

 private:
  void on_request_impl(http::verb method, BeastView, BeastView target, int version, error_code&) override {
    head_.method = method;
    head_.target = view_of_original(target);
    head_.minor_version = version - 10;
  }
  void on_field_impl(field name, BeastView name_sent, BeastView value, error_code&) override {
    if (is_folded(name_sent, value)) throw BadRequest("a header field is folded");
    if (head_.fields.size() == limits_.fields) {
      throw Refusal(status::request_header_fields_too_large,
                    "more than " + std::to_string(limits_.fields) + " header fields");
    }
    head_.fields.push_back({name, view_of_original(value)});
  }
  void on_header_impl(error_code&) override {}

  // Never called: a head ends before the body, and is no response.
  void on_response_impl(int, BeastView, int, error_code&) override {}
  void on_body_init_impl(const boost::optional<std::uint64_t>&, error_code&) override {}
  std::size_t on_body_impl(BeastView, error_code&) override { return 0; }
  void on_chunk_header_impl(std::uint64_t, BeastView, error_code&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, BeastView, error_code&) override { return 0; }
  void on_finish_impl(error_code&) override {}

  /// A field may go on in a line that begins with a space; RFC 9112, 5.2, lets a server refuse that. Beast joins the
  /// lines, and then the value is not in the text, or not in the line of the name.
  bool is_folded(BeastView name, BeastView value) const {
    const std::less<> before;
    const char* const behind_name = name.data() + name.size();
    if (before(value.data(), behind_name) || before(text_.data() + text_.size(), value.data())) return true;
    return std::find(behind_name, value.data(), '\n') != value.data();
  }

  std::string_view view_of_original(BeastView part) const {
    return part.empty() ? std::string_view()
                        : original_.substr(static_cast<std::size_t>(part.data() - text_.data()), part.size());
  }

  const std::string_view text_;
  const std::string_view original_;
  const HeadLimits& limits_;
  Head& head_;
};

/// Returns the version that follows method and target; empty if there is none.
std::string_view version_of(std::string_view first_line) {
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  const std::size_t target = first_line.find(' ');
  const std::size_t end = target == first_line.npos ? target : first_line.find(' ', target + 1);
  if (end == first_line.npos) return {};
  const std::string_view version = first_line.substr(end + 1);
  const bool is_version = version.size() == 8 && version.starts_with("HTTP/") && is_digit(version[5]) &&
                          version[6] == '.' && is_digit(version[7]);
  return is_version ? version : std::string_view();
}

error_code parse(std::string_view text, std::string_view original, const HeadLimits& limits, Head& head) {
  Parser parser(text, original, limits, head);
  error_code error;
  parser.put({text.data(), text.size()}, error);
  return error;
}

/// RFC 9110, 2.5: a later minor version is served as the latest that the server knows. Beast knows none beyond 1.1, so
/// it is given a copy.
error_code parse_as_1_1(std::string_view text, const HeadLimits& limits, Head& head) {
  std::string copy(text);
  copy[head.first_line.size() - 1] = '1';
  return parse(copy, text, limits, head);
}

[[noreturn]] void refuse_as(const error_code& error, std::string_view first_line) {
  if (error == http::error::bad_version && !version_of(first_line).empty()) {
    throw Refusal(status::http_version_not_supported, "this server speaks HTTP/1.0 and HTTP/1.1");
  }
  throw BadRequest("not a valid request: " + error.message());
}

void check_target(std::string_view first_line, const HeadLimits& limits) {
  if (first_line.size() <= limits.target) return;
  const std::size_t begin = first_line.find(' ');
  if (begin == first_line.npos) return;
  const std::size_t end = std::min(first_line.find(' ', begin + 1), first_line.size());
  if (end - begin - 1 > limits.target) {
    throw Refusal(status::uri_too_long, "the target is longer than " + std::to_string(limits.target) + " bytes");
  }
}

/// Calls a function for each member of a list without quotation marks (RFC 9110, 5.6.1).
template <class Function>
void for_each_member(std::string_view list, const Function& function) {
  for (std::size_t begin = 0; begin <= list.size();) {
    const std::size_t end = std::min(list.find(',', begin), list.size());
    if (const auto member = trimmed(list.substr(begin, end - begin)); !member.empty()) function(member);
    begin = end + 1;
  }
}

/// RFC 9110, 10.1.1.
void read_expect(std::string_view value, Head& head) {
  for_each_member(value, [&](std::string_view member) {
    if (!iequals(member, "100-continue")) {
      throw Refusal(status::expectation_failed, "the only Expect here is 100-continue");
    }
    head.expects_continue = head.minor_version > 0;
  });
}

/// RFC 9112, 6.3. Beast takes several lengths if they agree; a proxy in front might add them up.
void read_content_length(std::string_view value, Head& head) {
  const char* const end = value.data() + value.size();
  const auto [rest, error] = std::from_chars(value.data(), end, head.content_length);
  if (error != std::errc() || rest != end) throw BadRequest("the Content-Length is no number, or too large a one");
}

/// RFC 9112, 6.1. Beast takes an encoding that it does not know for none, and the body for the next request.
void read_transfer_encoding(std::string_view value, Head& head) {
  if (head.minor_version == 0) throw BadRequest("Transfer-Encoding in HTTP/1.0");
  const http::opt_token_list encodings{value};
  if (!http::validate_list(encodings)) throw BadRequest("the Transfer-Encoding is no list of names");
  bool all_known = true;
  for (const BeastView encoding : encodings) {
    if (head.chunked) throw BadRequest("chunked is not the last Transfer-Encoding");
    iequals(encoding, "chunked") ? head.chunked = true : all_known = false;
  }
  if (!all_known) throw Refusal(status::not_implemented, "the only Transfer-Encoding here is chunked");
  if (!head.chunked) throw BadRequest("the Transfer-Encoding is empty");
}

void read_fields(Head& head) {
  int hosts = 0;
  int lengths = 0;
  bool closes = false;
  bool keeps = head.minor_version > 0;
  for (const Field& each : head.fields) {
    switch (each.name) {
      case field::host:
        ++hosts;
        // RFC 9112, 3.2. It is empty where the client's URL has no authority.
        if (!each.value.empty() && !is_authority(each.value)) throw BadRequest("the Host is none");
        break;
      case field::connection:
        for_each_member(each.value, [&](std::string_view option) {
          closes = closes || iequals(option, "close");
          keeps = keeps || iequals(option, "keep-alive");
        });
        break;
      case field::content_length:
        ++lengths;
        read_content_length(each.value, head);
        break;
      case field::transfer_encoding:
        read_transfer_encoding(each.value, head);
        break;
      case field::expect:
        read_expect(each.value, head);
        break;
      default:
        break;
    }
  }
  head.keep_alive = keeps && !closes;  // RFC 9112, 9.3
  if (hosts > 1 || (hosts == 0 && head.minor_version > 0)) throw BadRequest("a request has one Host field");
  if (lengths > 1) throw BadRequest("more than one Content-Length");
  if (lengths > 0 && head.chunked) throw BadRequest("both Content-Length and Transfer-Encoding");
}

}  // namespace

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view space = " \t";
  const std::size_t begin = std::min(text.find_first_not_of(space), text.size());
  const std::size_t end = text.find_last_not_of(space) + 1;
  return text.substr(begin, std::max(begin, end) - begin);
}

std::string Head::value(field name) const {
  std::string all;
  bool is_first = true;
  for (const Field& each : fields) {
    if (each.name != name) continue;
    if (!std::exchange(is_first, false)) all += ", ";
    all += each.value;
  }
  return all;
}

void parse_head(std::string_view text, const HeadLimits& limits, Head& head) {
  std::vector<Field> fields = std::move(head.fields);
  fields.clear();
  head = Head();
  head.fields = std::move(fields);
  head.first_line = text.substr(0, text.find("\r\n"));
  check_target(head.first_line, limits);
  error_code error = parse(text, text, limits, head);
  if (error && error == http::error::bad_version && version_of(head.first_line).starts_with("HTTP/1.")) {
    error = parse_as_1_1(text, limits, head);
  }
  if (error) refuse_as(error, head.first_line);
  read_fields(head);
}

void check_beginning(std::string_view text, const HeadLimits& limits) {
  // The first byte of TLS is one; so is much else that is no request.
  if (static_cast<unsigned char>(text.front()) < ' ') throw BadRequest("not a valid request; this is not HTTPS either");
  for (std::size_t at = text.find('\n'); at != text.npos; at = text.find('\n', at + 1)) {
    if (at == 0 || text[at - 1] != '\r') throw BadRequest("a line does not end with CR LF; with nc, that is nc -C");
  }
  const std::size_t end_of_line = text.find("\r\n");
  check_target(text.substr(0, end_of_line), limits);
  if (text.size() < limits.size) return;
  const std::string size = std::to_string(limits.size);
  if (end_of_line == text.npos) throw Refusal(status::uri_too_long, "a line of more than " + size + " bytes");
  throw Refusal(status::request_header_fields_too_large, "a head of more than " + size + " bytes");
}

}  // namespace web
