#include <kv_server/siphash.hpp>  // first, to test that it is self-contained

#include <doctest/doctest.h>

#include <string>

namespace {

// With a key of zeros: hash() of bytes in Python 3.11 and newer, with PYTHONHASHSEED=0.
TEST_CASE("SipHash-1-3 is what Python has it to be") {
  std::string bytes;
  for (int i = 0; i < 64; ++i) bytes += static_cast<char>(i);
  CHECK(kv::siphash({0, 0}, "a") == 0x407448d2b89b1813);
  CHECK(kv::siphash({0, 0}, "abcdefg") == 0x6db12aae9070f506);
  CHECK(kv::siphash({0, 0}, "abcdefgh") == 0x3f7b849c0b8e35ea);
  CHECK(kv::siphash({0, 0}, "abcdefghi") == 0xf89b34a3d11eb6e5);
  CHECK(kv::siphash({0, 0}, bytes) == 0x75e05fd5bbc870c6);
}

TEST_CASE("the key makes a difference, either half of it") {
  CHECK(kv::siphash({0, 0}, "a") != kv::siphash({1, 0}, "a"));
  CHECK(kv::siphash({0, 0}, "a") != kv::siphash({0, 1}, "a"));
}

}  // namespace
