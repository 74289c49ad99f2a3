/// Messages from arbitrary bytes, of which the first two choose the options: they are the same messages and the same
/// error however the bytes are cut, none is longer than allowed, and sent again they are the same once more.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "support/messages.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const sockserv::FramingOptions options{static_cast<sockserv::LengthPrefix>(data[0] % 4), data[1]};
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 2, size - 2);

  const support::Decoded whole = support::decoded(bytes, options);
  for (const std::size_t piece_size : {1UL, 3UL, 7UL}) {
    if (support::decoded(bytes, options, piece_size) != whole) std::abort();
  }
  std::string again;
  for (const std::string& message : whole.messages) {
    if (message.size() > options.max_message) std::abort();
    again += support::framed(message, options);
  }
  if (support::decoded(again, options) != support::Decoded{whole.messages, {}}) std::abort();
  return 0;
}
