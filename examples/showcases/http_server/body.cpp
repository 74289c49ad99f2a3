#include "body.hpp"

#include <algorithm>
#include <charconv>
#include <optional>

namespace web {
namespace {

using http::status;

/// The longest line around a chunk that anybody needs.
constexpr std::size_t longest_line = 1024;
/// How many bytes of fields may follow the last chunk.
constexpr std::size_t longest_trailer = 8192;

void check_size(std::uint64_t size, std::uint64_t most) {
  if (size <= most) return;
  throw Refusal(status::payload_too_large, "a body of more than " + std::to_string(most) + " bytes");
}

/// A line without its end. A line feed alone ends none: what is a line here and not there makes room for requests
/// within requests.
std::string_view next_line(sockserv::InputFile& rfile) {
  std::optional<std::string_view> line;
  try {
    line = rfile.readline(longest_line);
  } catch (const boost::system::system_error& error) {
    if (error.code() == sockserv::errc::line_too_long) throw BadRequest("too long a line in a chunked body");
    throw;
  }
  if (!line || !line->ends_with("\r\n")) throw BadRequest("a line of a chunked body does not end with CR LF");
  line->remove_suffix(2);
  if (line->find_first_of(std::string_view("\r\0", 2)) != line->npos)
    throw BadRequest("a control character in a chunked body");
  return *line;
}

/// The size that a chunk begins with. Extensions may follow it, and white space may stand in front of their semicolon
/// (RFC 9112, 7.1.1); they have no meaning here. White space alone is refused: some take it for part of the size.
std::uint64_t size_of_chunk(std::string_view line) {
  std::uint64_t size = 0;
  const char* const end = line.data() + line.size();
  const auto [rest, error] = std::from_chars(line.data(), end, size, 16);
  if (error == std::errc::result_out_of_range) return static_cast<std::uint64_t>(-1);
  const std::string_view behind = line.substr(static_cast<std::size_t>(rest - line.data()));
  const std::string_view extensions = behind.substr(std::min(behind.find_first_not_of(" \t"), behind.size()));
  if (error != std::errc() || (!behind.empty() && !extensions.starts_with(';'))) {
    throw BadRequest("a chunk does not begin with its size");
  }
  return size;
}

std::string receive_chunks(sockserv::InputFile& rfile, std::uint64_t most) {
  // The least rate holds for the body as a whole. Chunk headers do not count, and a new chunk is no new start.
  sockserv::InputFile::OneItem item(rfile);
  const auto line_between = [&] {
    const std::string_view line = next_line(rfile);
    item.leave_out(line.size() + 2);
    return line;
  };
  std::string body;
  while (const std::uint64_t size = size_of_chunk(line_between())) {
    check_size(size, most - body.size());
    body += rfile.read_exactly(size);
    if (!line_between().empty()) throw BadRequest("a chunk is longer than its size");
  }
  std::size_t trailer = 0;
  for (std::size_t size = line_between().size(); size > 0; size = line_between().size()) {
    trailer += size;
    if (trailer > longest_trailer) {
      throw Refusal(status::request_header_fields_too_large, "too many fields behind a chunked body");
    }
  }
  return body;
}

}  // namespace

std::string receive_body(sockserv::InputFile& rfile, const Head& head, std::uint64_t most) {
  if (head.chunked) return receive_chunks(rfile, most);
  check_size(head.content_length, most);
  return rfile.read_exactly(head.content_length);
}

}  // namespace web
