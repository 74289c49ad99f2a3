#include <sockserv/layer/framing.hpp>

#include <algorithm>
#include <boost/endian/conversion.hpp>
#include <cstring>
#include <limits>
#include <sockserv/error.hpp>
#include <stdexcept>

namespace sockserv::inline abi_0 {
namespace {

namespace endian = boost::endian;

/// Where an 8-byte length follows in the format of multiprocessing, and how many bytes come before it.
constexpr std::int32_t long_message = -1;
constexpr std::size_t short_header = 4;

/// The largest length that the prefix can say.
constexpr std::uint64_t largest(LengthPrefix prefix) noexcept {
  switch (prefix) {
    case LengthPrefix::uint32_big_endian:
      return std::numeric_limits<std::uint32_t>::max();
    case LengthPrefix::int32_little_endian:
      return std::numeric_limits<std::int32_t>::max();
    case LengthPrefix::uint64_big_endian:
    case LengthPrefix::multiprocessing:
      break;
  }
  return std::numeric_limits<std::uint64_t>::max();
}

unsigned char* octets(char* bytes) noexcept { return reinterpret_cast<unsigned char*>(bytes); }
const unsigned char* octets(const char* bytes) noexcept { return reinterpret_cast<const unsigned char*>(bytes); }

void check_length(std::uint64_t length, std::uint64_t limit, const char* limited_by) {
  if (length <= limit) return;
  detail::throw_error(errc::message_too_long, "messages: " + std::to_string(length) + " bytes, where " + limited_by +
                                                  " allows " + std::to_string(limit));
}

[[noreturn]] void throw_negative(std::int32_t length) {
  detail::throw_error(errc::bad_message_length, "messages: a length of " + std::to_string(length));
}

std::uint64_t not_negative(std::int32_t length) {
  if (length < 0) throw_negative(length);
  return static_cast<std::uint64_t>(length);
}

/// Marks what has been taken off the front of a file's unread bytes as read, also when an exception ends the taking.
class Taking {
 public:
  explicit Taking(detail::InputBuffer& buffer) noexcept : bytes(buffer.unread()), buffer_(buffer) {}
  Taking(const Taking&) = delete;
  Taking& operator=(const Taking&) = delete;
  ~Taking() { buffer_.consume(buffer_.unread().size() - bytes.size()); }

  std::string_view bytes;

 private:
  detail::InputBuffer& buffer_;
};

}  // namespace

MessageHeader::MessageHeader(std::uint64_t message_size, const FramingOptions& options) {
  check_length(message_size, options.max_message, "max_message");
  check_length(message_size, largest(options.prefix), "the length prefix");
  unsigned char* const to = octets(bytes_.data());
  switch (options.prefix) {
    case LengthPrefix::uint32_big_endian:
      endian::store_big_u32(to, static_cast<std::uint32_t>(message_size));
      break;
    case LengthPrefix::int32_little_endian:
      endian::store_little_s32(to, static_cast<std::int32_t>(message_size));
      break;
    case LengthPrefix::uint64_big_endian:
      endian::store_big_u64(to, message_size);
      size_ = 8;
      break;
    case LengthPrefix::multiprocessing:
      if (message_size <= largest(LengthPrefix::int32_little_endian)) {
        endian::store_big_s32(to, static_cast<std::int32_t>(message_size));
      } else {
        endian::store_big_s32(to, long_message);
        endian::store_big_u64(to + short_header, message_size);
        size_ = 12;
      }
      break;
  }
}

std::optional<std::string_view> MessageDecoder::decode(std::string_view& bytes) {
  if (header_size_ == 0) std::string().swap(message_);  // which frees its memory
  if (!take_header(bytes)) return std::nullopt;

  const std::string_view part = bytes.substr(0, length_ - message_.size());
  const bool whole = part.size() == length_;
  if (!whole) message_ += part;
  bytes.remove_prefix(part.size());
  const std::string_view message = whole ? part : message_;
  if (message.size() < length_) return std::nullopt;
  header_size_ = 0;
  return message;
}

/// True once the header is complete, and what it says is allowed.
bool MessageDecoder::take_header(std::string_view& bytes) {
  if (!message_.empty()) return true;
  while (header_size_ < header_length()) {
    if (bytes.empty()) return false;
    const std::size_t count = bytes.copy(header_.data() + header_size_, header_length() - header_size_);
    header_size_ += count;
    bytes.remove_prefix(count);
  }
  const std::uint64_t length = message_length();
  check_length(length, options_.max_message, "max_message");
  length_ = static_cast<std::size_t>(length);
  return true;
}

/// How long the header is, as far as can be told from what has arrived of it.
std::size_t MessageDecoder::header_length() const noexcept {
  switch (options_.prefix) {
    case LengthPrefix::uint64_big_endian:
      return 8;
    case LengthPrefix::multiprocessing:
      if (header_size_ >= short_header && endian::load_big_s32(octets(header_.data())) == long_message) return 12;
      break;
    case LengthPrefix::uint32_big_endian:
    case LengthPrefix::int32_little_endian:
      break;
  }
  return short_header;
}

/// What the header says, which is complete.
std::uint64_t MessageDecoder::message_length() const {
  const unsigned char* const from = octets(header_.data());
  switch (options_.prefix) {
    case LengthPrefix::int32_little_endian:
      return not_negative(endian::load_little_s32(from));
    case LengthPrefix::uint64_big_endian:
      return endian::load_big_u64(from);
    case LengthPrefix::multiprocessing:
      if (header_size_ > short_header) return endian::load_big_u64(from + short_header);
      return not_negative(endian::load_big_s32(from));
    case LengthPrefix::uint32_big_endian:
      break;
  }
  return endian::load_big_u32(from);
}

void MessageDecoder::finish() const {
  if (begun() == 0) return;
  detail::throw_request_error(
      errc::truncated_message,
      header_size_ < header_length()
          ? "messages: " + std::to_string(header_size_) + " bytes of a length"
          : "messages: " + std::to_string(message_.size()) + " bytes of " + std::to_string(message_length()));
}

void MessageDecoder::set_options(const FramingOptions& options) {
  if (begun() > 0) throw std::logic_error("set_options: part of a message has been received");
  options_ = options;
}

std::optional<std::string_view> MessageStream::receive() {
  for (;;) {
    {
      Taking from(rfile_.buffer_);
      if (const auto message = decoder_.decode(from.bytes)) return message;
    }
    if (!rfile_.receive_more(decoder_.begun())) {
      decoder_.finish();
      return std::nullopt;
    }
  }
}

void MessageStream::send(std::string_view message) { send(boost::asio::buffer(message)); }

void MessageStream::send_behind_header(Parts& parts) {
  const MessageHeader header(boost::asio::buffer_size(parts), options());
  parts.front() = boost::asio::buffer(header.bytes());
  wfile_.write(std::span<const boost::asio::const_buffer>(parts.data(), parts.size()));
}

void MessageRequestHandler::setup() {
  StreamRequestHandler::setup();
  messages.set_options(framing);
}

}  // namespace sockserv::inline abi_0
