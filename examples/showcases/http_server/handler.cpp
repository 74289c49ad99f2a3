#include "handler.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <boost/asio/buffer.hpp>
#include <cerrno>
#include <sockserv/error.hpp>
#include <sockserv/server/abstract.hpp>
#include <stdexcept>

#include "body.hpp"
#include "date.hpp"
#include "response_head.hpp"
#include "target.hpp"

namespace web {
namespace {

using http::status;
using http::verb;
using std::chrono::steady_clock;

/// Files up to this size are read and leave in one system call with their head; larger ones stay in the kernel.
constexpr std::uint64_t small_file = 32768;
/// How long, at most, a client that has been refused may go on sending.
constexpr std::chrono::seconds linger_time(2);

/// Changes the timeout of a connection's receives for the time of a block.
class TimeLimit {
 public:
  TimeLimit(sockserv::Connection& request, steady_clock::duration limit)
      : request_(request), before_(request.gettimeout()) {
    change(limit);
  }
  TimeLimit(const TimeLimit&) = delete;
  TimeLimit& operator=(const TimeLimit&) = delete;
  ~TimeLimit() { request_.settimeout(before_, SHUT_RD, ignored_); }

  /// At least a little: the limit of 0 would be none.
  void change(steady_clock::duration limit) {
    request_.settimeout(std::max<steady_clock::duration>(limit, std::chrono::milliseconds(1)), SHUT_RD);
  }

 private:
  sockserv::Connection& request_;
  std::optional<steady_clock::duration> before_;
  sockserv::error_code ignored_;
};

Response page(status status, const std::string& text) {
  const std::string title =
      std::to_string(static_cast<unsigned>(status)) + " " + std::string(std::string_view(obsolete_reason(status)));
  return {status, "text/html; charset=utf-8",
          "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>" + title +
              "</title>\n</head>\n<body>\n<h1>" + title + "</h1>\n<p>" + html_escaped(text) +
              "</p>\n</body>\n</html>\n"};
}

Response page(const Refusal& refusal) {
  Response response = page(refusal.status(), refusal.what());
  if (const auto* const wrong = dynamic_cast<const WrongMethod*>(&refusal)) {
    response.fields.emplace_back("Allow", wrong->allowed());
  }
  if (refusal.status() == status::service_unavailable) response.fields.emplace_back("Retry-After", "5");  // seconds
  return response;
}

std::string content_of(const example::Descriptor& file, std::uint64_t offset, std::size_t size) {
  std::string content(size, '\0');
  for (std::size_t done = 0; done < size;) {
    const ssize_t count = ::pread(file.get(), content.data() + done, size - done, static_cast<off_t>(offset + done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw boost::system::system_error(sockserv::detail::last_system_error(), "cannot read a file");
    if (count == 0) throw std::runtime_error("a file has become shorter before it was sent");
    done += static_cast<std::size_t>(count);
  }
  return content;
}

}  // namespace

HttpHandler::HttpHandler(const Site& site) : site_(site) {
  wbufsize = 4096;                 // the answers to pipelined requests leave together
  disable_nagle_algorithm = true;  // a head, and then its file, are two calls
}

void HttpHandler::setup() {
  StreamRequestHandler::setup();
  request.settimeout(site_.keep_alive.count() > 0 ? site_.keep_alive : site_.head_time, SHUT_RD);
  request.settimeout(site_.transfer_time, SHUT_WR);
}

void HttpHandler::handle() {
  bool goes_on = true;
  while (goes_on && wait_for_request()) goes_on = serve_request();
  if (body_unread_) linger();
}

/// True when a request begins; false if the client has ended the connection, or has nothing to ask for too long.
bool HttpHandler::wait_for_request() try {
  // RFC 9112, 2.2: an empty line in front of a request is none; some clients send one behind a body.
  constexpr int most_empty_lines = 4;
  for (int i = 0; i < most_empty_lines; ++i) {
    if (rfile.peek(0).size() < 2) flush();  // before the wait, which has another limit
    if (!wait_for_next_request()) return false;
    const std::string_view input = rfile.peek();
    if (input.front() != '\r' || !rfile.peek(2).starts_with("\r\n")) return true;
    rfile.skip(2);
  }
  return wait_for_next_request();
} catch (const sockserv::timeout_error&) {
  return false;
} catch (const sockserv::peer_gone_error&) {
  return false;  // browsers reset connections that they need no more
}

/// Answers the next request; false if the connection ends with it.
bool HttpHandler::serve_request() {
  Answer answer;
  std::exception_ptr failure;
  keep_alive_ = false;
  body_unread_ = true;  // until it is known that there is none
  try {
    answer = find_answer();
  } catch (const Refusal& refusal) {
    answer = answer_with(page(refusal));
  } catch (const sockserv::peer_gone_error&) {
    throw;
  } catch (const sockserv::limit_error&) {
    throw;
  } catch (...) {
    failure = std::current_exception();
    keep_alive_ = false;
    answer = answer_with(page(status::internal_server_error, "the server's log says more"));
  }
  send(answer);
  if (failure) {
    flush();
    std::rethrow_exception(failure);  // to handle_error
  }
  return keep_alive_;
}

/// All that can go wrong with an answer goes wrong in here, before any of it is sent.
HttpHandler::Answer HttpHandler::find_answer() {
  receive_head();
  parse_head(head_text_, site_.head_limits, head_);
  body_unread_ = head_.has_body();
  keep_alive_ = head_.keep_alive && site_.keep_alive.count() > 0 && !server.stop_requested();
  if (head_.method == verb::unknown) throw Refusal(status::not_implemented, "the method is not known");
  const Target target = parse_target(head_.method, head_.target);
  if (const auto* const function = site_.router.find(head_.method, target.path)) {
    return answer_with((*function)({head_, target.path, target.query, body()}));
  }
  if (head_.method != verb::get && head_.method != verb::head) throw WrongMethod("GET, HEAD");
  body();  // has no meaning for files
  return answer_by_files(target.path);
}

HttpHandler::Answer HttpHandler::answer_by_files(const std::string& path) {
  if (!site_.folder) throw Refusal(status::not_found, "there is no such page");
  Found found = site_.reopens_folder ? find_file(reopened(*site_.folder), path) : find_file(*site_.folder, path);
  if (auto* const file = std::get_if<OpenFile>(&found)) return answer_with(std::move(*file));
  if (auto* const folder = std::get_if<FolderPage>(&found)) {
    return answer_with(Response{status::ok, "text/html; charset=utf-8", std::move(folder->html)});
  }
  const std::string location = percent_encoded(std::get<Redirect>(found).path);
  Response response = page(status::moved_permanently, "this folder is at " + location);
  const std::size_t query = head_.target.find('?');
  response.fields.emplace_back("Location",
                               location + std::string(query == head_.target.npos ? "" : head_.target.substr(query)));
  return answer_with(std::move(response));
}

/// Copies the text of the next head, since `rfile` keeps it only until the next read. If it does not come, what there
/// is of its first line is for the log.
void HttpHandler::receive_head() {
  head_ = Head();
  try {
    head_text_ = wait_for_end_of_head();
  } catch (const Refusal&) {
    const std::string_view input = rfile.peek();
    head_text_ = input.substr(0, std::min(input.find_first_of("\r\n"), site_.head_limits.target));
    head_.first_line = head_text_;
    throw;
  }
}

/// Waits for a whole head and takes it from `rfile`.
std::string_view HttpHandler::wait_for_end_of_head() {
  const HeadLimits& limits = site_.head_limits;
  std::string_view input = rfile.peek();
  std::size_t end = input.find(end_of_head);
  if (end == input.npos) {
    flush();  // before the wait, which has another limit
    // One deadline for the whole head, so that a client cannot extend it by sending a byte now and then.
    const auto deadline = steady_clock::now() + site_.head_time;
    TimeLimit limit(request, site_.head_time);
    while (end == input.npos) {
      check_beginning(input, limits);
      const std::size_t seen = input.size();
      try {
        limit.change(deadline - steady_clock::now());
        input = rfile.peek(seen + 1);
      } catch (const sockserv::timeout_error&) {
        throw Refusal(status::request_timeout, "the request has taken too long to arrive");
      }
      if (input.size() == seen) throw BadRequest("the request ends in the middle of its head");
      end = input.find(end_of_head, seen - std::min(seen, end_of_head.size() - 1));
    }
  }
  const std::size_t size = end + end_of_head.size();
  if (size > limits.size) check_beginning(input.substr(0, limits.size), limits);
  rfile.skip(size);
  return input.substr(0, size);
}

/// The body of the present request.
std::string HttpHandler::body() {
  if (!head_.has_body()) return {};
  if (head_.content_length > site_.largest_body) receive_body(rfile, head_, site_.largest_body);  // refuses
  if (head_.expects_continue) wfile.write("HTTP/1.1 100 Continue\r\n\r\n");
  if (head_.chunked || rfile.peek(0).size() < head_.content_length) flush();  // before the wait
  const TimeLimit limit(request, site_.transfer_time);
  try {
    std::string body = receive_body(rfile, head_, site_.largest_body);
    body_unread_ = false;
    return body;
  } catch (const sockserv::timeout_error&) {
    throw Refusal(status::request_timeout, "the body has taken too long to arrive");
  }
}

ResponseHead HttpHandler::begin_head(status status) {
  keep_alive_ = keep_alive_ && !body_unread_;
  return {response_head_, status, head_.minor_version, keep_alive_};
}

HttpHandler::Answer HttpHandler::answer_with(Response response) {
  ResponseHead head = begin_head(response.status);
  const bool has_content = response.status != status::no_content;  // RFC 9110, 8.6: nor a length
  if (has_content) {
    if (response.content_type.empty()) {
      head.add("Content-Type", "text/plain; charset=utf-8");
    } else {
      head.add_checked("Content-Type", response.content_type);
    }
    head.add("Content-Length", response.body.size());
  }
  for (const auto& [name, value] : response.fields) head.add_checked(name, value);
  head.end();
  if (!has_content || head_.method == verb::head) return {.status = response.status};
  return {.status = response.status, .body = std::move(response.body)};
}

HttpHandler::Answer HttpHandler::answer_with(OpenFile file) {
  const FileVersion& version = file.version;
  const Selection part = select(head_, version);
  if (part.status == status::precondition_failed)
    return answer_with(page(part.status, "the file is not as you expect"));
  if (part.status == status::range_not_satisfiable) {
    Response response = page(part.status, "the file has no such part");
    response.fields.emplace_back("Content-Range", "bytes */" + std::to_string(version.size));
    return answer_with(std::move(response));
  }
  ResponseHead head = begin_head(part.status);
  head.add("ETag", version.etag).add("Last-Modified", http_date(version.last_modified()));
  if (part.status != status::not_modified) {
    head.add("Content-Type", file.content_type).add("Content-Length", part.count).add("Accept-Ranges", "bytes");
  }
  if (part.status == status::partial_content) {
    head.add("Content-Range", "bytes " + std::to_string(part.offset) + "-" +
                                  std::to_string(part.offset + part.count - 1) + "/" + std::to_string(version.size));
  }
  head.end();
  if (part.count == 0 || head_.method == verb::head) return {.status = part.status};
  if (part.count <= small_file)
    return {.status = part.status, .body = content_of(file.descriptor, part.offset, part.count)};
  content_of(file.descriptor, part.offset, 1);  // to know that it can be read before its head leaves
  return {.status = part.status, .file = std::move(file.descriptor), .offset = part.offset, .count = part.count};
}

/// Sends head and content, and notes them in the log whether or not the client takes them.
void HttpHandler::send(const Answer& answer) {
  std::uint64_t sent = answer.body.size();
  sockserv::error_code error;
  try {
    const std::array<boost::asio::const_buffer, 2> parts{boost::asio::buffer(response_head_),
                                                         boost::asio::buffer(answer.body)};
    sending([&] { wfile.write(parts); });
    if (answer.file) {
      flush();
      sent = request.sendfile(answer.file.get(), answer.offset, answer.count, error);
    }
  } catch (...) {
    log(answer.status, 0);
    throw;
  }
  log(answer.status, sent);
  sockserv::detail::check(error, "sendfile");
  // The client has been told how much there is. It can only learn from the connection's end that it was not so.
  if (sent < answer.count) throw std::runtime_error("a file has become shorter while it was sent");
}

void HttpHandler::flush() {
  sending([this] { wfile.flush(); });
}

/// Calls what sends, and ends the connection if the client does not take it in time.
template <class Operation>
void HttpHandler::sending(const Operation& operation) try {
  operation();
} catch (const sockserv::timeout_error&) {
  sockserv::error_code ignored;
  request.shutdown(SHUT_RDWR, ignored);
  throw sockserv::limit_error(make_error_code(sockserv::errc::idle_too_long), "answers that the client does not take");
}

void HttpHandler::log(status status, std::uint64_t size) {
  if (!site_.log.is_on()) return;
  site_.log.write({head_.first_line, static_cast<unsigned>(status), size, head_.value(http::field::referer),
                   head_.value(http::field::user_agent)},
                  client_address);
}

/// Reads on for a while what the client is still sending. If the connection were closed now, the client's system would
/// be told that nobody takes it, and might throw the answer away with it (RFC 9112, 9.6).
void HttpHandler::linger() {
  sockserv::error_code error;
  flush();
  request.shutdown(SHUT_WR, error);
  const auto deadline = steady_clock::now() + linger_time;
  TimeLimit limit(request, linger_time);
  std::array<char, 4096> ignored{};
  while (!error && steady_clock::now() < deadline) {
    limit.change(deadline - steady_clock::now());
    if (request.recv(boost::asio::buffer(ignored), error) == 0) break;
  }
}

}  // namespace web
