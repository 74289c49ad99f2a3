#include <sockserv/detail/text.hpp>  // first, to test that it is self-contained

#include <doctest/doctest.h>

#include <sockserv.hpp>
#include <string>
#include <string_view>

#include "support/serving.hpp"

namespace {

using sockserv::detail::is_utf8;
using sockserv::detail::printable;
using sockserv::detail::type_name;
using sockserv::detail::utf8_length;

std::string utf8(char32_t code) {
  const auto byte = [](char32_t value) { return static_cast<char>(static_cast<unsigned char>(value)); };
  const auto next = [&](int shift) { return byte(0x80 | (code >> shift & 0x3f)); };
  if (code < 0x80) return {byte(code)};
  if (code < 0x800) return {byte(0xc0 | code >> 6), next(0)};
  if (code < 0x10000) return {byte(0xe0 | code >> 12), next(6), next(0)};
  return {byte(0xf0 | code >> 18), next(12), next(6), next(0)};
}

std::string between_letters(std::string_view text) { return std::string(1, 'a').append(text).append(1, 'z'); }

/// What UTF-8 does not allow: each of the classes of RFC 3629.
constexpr std::string_view malformed[] = {
    "\x80",              // a continuation without a beginning
    "\xbf",              //
    "\xc0\xaf",          // longer than needed
    "\xc1\xbf",          //
    "\xe0\x9f\xbf",      //
    "\xf0\x8f\xbf\xbf",  //
    "\xed\xa0\x80",      // surrogates
    "\xed\xbf\xbf",      //
    "\xf4\x90\x80\x80",  // beyond U+10FFFF
    "\xf5\x80\x80\x80",  //
    "\xff",              //
    "\xc3",              // truncated
    "\xe2\x82",          //
    "\xf0\x9f\x98",      //
    "\xc3(",             // truncated by what follows
    "\xe2\x82(",         //
    "\xf0\x9f\x98(",     //
};

TEST_CASE("a UTF-8 character is as long as its first byte says, if the other bytes agree") {
  for (const char32_t code : {0x0U, 0x7fU, 0x80U, 0x7ffU, 0x800U, 0xd7ffU, 0xe000U, 0xffffU, 0x10000U, 0x10ffffU}) {
    CAPTURE(static_cast<unsigned>(code));
    CHECK(utf8_length(utf8(code)) == utf8(code).size());
    CHECK(utf8_length(utf8(code).append(1, '\x80')) == utf8(code).size());
    CHECK(is_utf8(between_letters(utf8(code))));
  }
  CHECK(utf8_length("") == 0);
  CHECK(is_utf8(""));
  for (const std::string_view bytes : malformed) {
    CAPTURE(bytes);
    CHECK(utf8_length(bytes) == 0);
    CHECK_FALSE(is_utf8(between_letters(bytes)));
  }
}

TEST_CASE("each control character is shown as one question mark, in UTF-8 and as a byte") {
  for (char32_t code = 0; code < 0x100; ++code) {
    CAPTURE(static_cast<unsigned>(code));
    const bool control = code < 0x20 || (code >= 0x7f && code < 0xa0);
    const std::string byte(1, static_cast<char>(static_cast<unsigned char>(code)));
    for (const std::string& character : {utf8(code), byte}) {
      CHECK(printable(between_letters(character)) == (control ? "a?z" : between_letters(character)));
    }
  }
}

TEST_CASE("printable text stays as it is, also where its bytes are those of control characters") {
  for (const std::string_view text : {"", "hello, w\u00f6rld", "\u20ac", "\u4f60\u597d", "\U0001f600", "\u00a0\u00ad",
                                      "\u0100\u011b\u0480\u2028\ufffd", "Latin-1: \xa0\xe4\xff"}) {
    CHECK(printable(text) == text);
  }
}

TEST_CASE("of bytes that are no UTF-8, those that are control characters by themselves are replaced") {
  CHECK(printable("\xc0\x9b") == "\xc0?");  // ESC in more bytes than it needs
  CHECK(printable("\xe0\x80\x9b") == "\xe0??");
  CHECK(printable("\xf0\x80\x80\x9b") == "\xf0???");
  CHECK(printable("\xed\xa0\x9b") == "\xed\xa0?");  // a surrogate
  CHECK(printable("\xf4\x90\x9b\x9b") == "\xf4???");
  CHECK(printable("\xc2") == "\xc2");  // truncated: at the end, and by what follows
  CHECK(printable("\xe2\x82") == "\xe2?");
  CHECK(printable("\xe2\x82\x1b[2J") == "\xe2??[2J");
  CHECK(printable("\xe2\xc2\x9b") == "\xe2?");
  CHECK(printable("\xf0\x9f\x98\xc3\xa4") == "\xf0??\xc3\xa4");
  for (const std::string_view bytes : malformed) CHECK(printable(printable(bytes)) == printable(bytes));
}

TEST_CASE("the name of a type has no inline namespace in it") {
  CHECK(type_name(typeid(sockserv::Address)) == "sockserv::Address");
  CHECK(type_name(typeid(sockserv::ThreadingMixIn<sockserv::TCPServer<support::Echo>>)) ==
        "sockserv::ThreadingMixIn<sockserv::TCPServer<support::Echo> >");
}

}  // namespace
