#pragma once

/// Messages over a stream: each goes with its length in front of it, so that it arrives as it was sent. *Start at
/// `MessageRequestHandler`.* docs/wire_formats.md has the formats byte by byte.

#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/container/small_vector.hpp>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <sockserv/connection.hpp>
#include <sockserv/detail/view_iterator.hpp>
#include <sockserv/export.hpp>
#include <sockserv/files.hpp>
#include <sockserv/fwd.hpp>
#include <sockserv/handler.hpp>
#include <span>
#include <string>
#include <string_view>

namespace sockserv::inline abi_0 {

/// How the length of a message is written in front of it. Both ends must have agreed on it: nothing on the wire tells.
enum class LengthPrefix {
  uint32_big_endian,    ///< 4 bytes in network order, as most protocols have it; Python's `struct.pack("!I", n)`.
  int32_little_endian,  ///< 4 bytes, signed: Python's `struct.pack("i", n)` on x86. Up to 2^31-1.
  uint64_big_endian,    ///< 8 bytes in network order; `struct.pack("!Q", n)`.
  /// What Python's `multiprocessing.connection` does on sockets: 4 bytes in network order, signed; for messages of more
  /// than 2^31-1 bytes they are -1, and 8 bytes with the length follow.
  multiprocessing,
};

/// What both ends of a stream of messages agree on, and what this end puts up with.
struct FramingOptions {
  LengthPrefix prefix = LengthPrefix::uint32_big_endian;
  /// The longest message, in bytes, that is received or sent; a longer one is `errc::message_too_long`. It is checked
  /// before any memory is taken. 0: only empty messages.
  std::size_t max_message = std::size_t{16} << 20;
};

/// @name The format, without any stream
/// Pure computation: `MessageStream` drives it over a request, and other programs may over whatever they have.
/// @{

/// What goes in front of a message.
class SOCKSERV_EXPORT MessageHeader {
 public:
  /// @throws boost::system::system_error `errc::message_too_long` for more than `options.max_message` bytes, or more
  /// than the prefix can say.
  MessageHeader(std::uint64_t message_size, const FramingOptions& options);

  /// The header as it goes over the wire; valid as long as this object.
  std::string_view bytes() const noexcept { return {bytes_.data(), size_}; }

 private:
  std::array<char, 12> bytes_{};
  std::size_t size_ = 4;
};

/// Takes messages out of a stream of bytes, however that is cut.
///
///     while (more(bytes)) {
///       while (const auto message = decoder.decode(bytes)) …
///     }
///     decoder.finish();
///
/// It takes memory only while it has a part of a message, and no more than about twice what has arrived of it: a length
/// is a promise, not a reason to allocate.
///
/// @par Thread safety
/// Distinct objects: safe. Shared objects: unsafe.
class SOCKSERV_EXPORT MessageDecoder {
 public:
  explicit MessageDecoder(const FramingOptions& options = {}) noexcept : options_(options) {}

  /// The next message, if `bytes` complete it; takes what it uses off their front, which is all if there is no message.
  /// The result is valid until the next call, and as long as the memory that `bytes` are in.
  ///
  /// @throws boost::system::system_error `errc::message_too_long` or `errc::bad_message_length` as soon as a length
  /// says so. Where the next message would begin is not known then: every further call throws the same.
  std::optional<std::string_view> decode(std::string_view& bytes);

  /// Says that no more bytes will come.
  /// @throws peer_gone_error `errc::truncated_message` if a message has begun.
  void finish() const;

  /// How many bytes there have been of a message that is not complete, its length included; 0 between messages.
  std::size_t begun() const noexcept { return header_size_ == 0 ? 0 : header_size_ + message_.size(); }

  const FramingOptions& options() const noexcept { return options_; }
  /// For the messages that follow.
  /// @throws std::logic_error if one has begun.
  void set_options(const FramingOptions& options);

 private:
  bool take_header(std::string_view& bytes);
  std::size_t header_length() const noexcept;
  std::uint64_t message_length() const;

  FramingOptions options_;
  std::array<char, 12> header_{};
  std::size_t header_size_ = 0;  // of what has arrived of it
  std::size_t length_ = 0;       // of the message, once its header is complete
  std::string message_;          // what has arrived of it, if it comes in pieces
};
/// @}

/// A connection as messages, over its `rfile` and `wfile`: a handler's (`MessageRequestHandler` has one), or a
/// client's.
///
///     for (auto& message : messages) messages.send(message);      // until the peer sends no more
///
/// What has been read from `rfile` before, say a line, is not part of the messages; between two of them it may be read
/// again.
///
/// @par Errors
/// What reading from `rfile` and writing to `wfile` throws, and: `errc::truncated_message`, as `peer_gone_error`, if
/// the stream ends inside a message; `errc::message_too_long` and `errc::bad_message_length`, after which messages can
/// still be sent, but no more be received. After `timeout_error` nothing is lost: the next `receive()` goes on within
/// the message; of one that was being sent the rest is kept in `wfile`, and leaves before anything else.
///
/// @par Thread safety
/// Distinct objects: safe. Shared objects: unsafe; the files count as part of it.
class SOCKSERV_EXPORT MessageStream {
 public:
  /// Both files must outlive this.
  MessageStream(InputFile& rfile, OutputFile& wfile, const FramingOptions& options = {}) noexcept
      : rfile_(rfile), wfile_(wfile), decoder_(options) {}

  /// The next message, or nothing if the stream has ended between two. It is valid until the next message is received
  /// or something else is read from `rfile`; an empty message is one, too. Waits as the handler's mixin does, and
  /// flushes a buffered `wfile` first.
  std::optional<std::string_view> receive();

  /// Sends one message, through `wfile`: with a `wbufsize` of 0 at once, length and content in one system call.
  void send(std::string_view message);
  /// Sends several buffers (a `ConstBufferSequence` of Asio's) as one message, gathered; there is a further system call
  /// from the 16th on.
  template <detail::ConstBufferSequence Buffers>
  void send(const Buffers& buffers) {
    Parts parts(1);  // the first for the header
    const auto last = boost::asio::buffer_sequence_end(buffers);
    for (auto each = boost::asio::buffer_sequence_begin(buffers); each != last; ++each) parts.emplace_back(*each);
    send_behind_header(parts);
  }

  const FramingOptions& options() const noexcept { return decoder_.options(); }
  /// For the messages that follow, such as larger ones once a client has authenticated itself.
  /// @throws std::logic_error if part of a message has been received.
  void set_options(const FramingOptions& options) { decoder_.set_options(options); }

  /// @name The messages, for range-for
  /// Each is valid as long as what `receive()` returns.
  /// @{
  using iterator = detail::ViewIterator<MessageStream, &MessageStream::receive>;
  iterator begin() { return iterator(*this); }
  std::default_sentinel_t end() const noexcept { return {}; }
  /// @}

 private:
  using Parts = boost::container::small_vector<boost::asio::const_buffer, 16>;

  void send_behind_header(Parts& parts);

  InputFile& rfile_;
  OutputFile& wfile_;
  MessageDecoder decoder_;
};

/// Serves a connection as messages: receive the requests from `messages`, and send the replies to it.
///
///     struct Echo : sockserv::MessageRequestHandler {
///       Echo() { framing.max_message = 1024; }
///       void handle() override {
///         for (auto& message : messages) messages.send(message);
///       }
///     };
///
/// For servers of streams, under every mixin. `rfile` and `wfile` are the same connection: a handler may read a line
/// first, and then messages.
class SOCKSERV_EXPORT MessageRequestHandler : public StreamRequestHandler {
 public:
  /// A setting, as `wbufsize` is: a derived class changes it in its constructor.
  FramingOptions framing;

  MessageStream messages{rfile, wfile};

  /// Applies the settings. An override calls this first.
  void setup() override;
};

}  // namespace sockserv::inline abi_0
