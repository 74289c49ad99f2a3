/// Requests of the key-value server from arbitrary bytes, of which the first chooses the limits: they are the same
/// requests, the same error and the same rest however the bytes are cut, none is over the limits, and sent again as
/// arrays they are the same once more.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "examples/kv_server/parsed.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  const kv::RequestLimits small{.arguments = 4, .argument_size = 16, .line_size = 32, .request_size = 64};
  const kv::RequestLimits limits = data[0] % 2 == 0 ? kv::RequestLimits() : small;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);

  const test::Parsed whole = test::parsed(bytes, limits);
  for (const std::size_t piece_size : {1UL, 3UL, 7UL}) {
    if (test::parsed(bytes, limits, piece_size) != whole) std::abort();
  }
  std::string again;
  for (const auto& request : whole.requests) {
    if (request.empty()) std::abort();
    again.append("*").append(std::to_string(request.size())).append("\r\n");
    for (const std::string& argument : request) {
      again.append("$").append(std::to_string(argument.size())).append("\r\n").append(argument).append("\r\n");
    }
  }
  if (test::parsed(again) != test::Parsed{whole.requests, "", ""}) std::abort();
  return 0;
}
