#pragma once

#include <cstddef>
#include <sockserv/export.hpp>
#include <string>
#include <string_view>
#include <typeinfo>

namespace sockserv::inline abi_0::detail {

/// Returns the length in bytes of the UTF-8 character that the text begins with (RFC 3629); 0 if it begins with none.
std::size_t utf8_length(std::string_view text) noexcept;

/// Returns true if the whole text is UTF-8.
SOCKSERV_EXPORT bool is_utf8(std::string_view text) noexcept;

/// Returns the text with a "?" for each control character, for text from others that goes into logs and on terminals.
///
/// These are the characters below U+0020, U+007F, and the C1 set, U+0080 to U+009F, with which a terminal can be
/// controlled as with ESC. Of the set C1 both forms are replaced: the UTF-8 characters, and the bytes 0x80 to 0x9f that
/// are part of no UTF-8 character, which a terminal with an 8-bit character set would act on. All other UTF-8
/// characters, and all other bytes, stay.
SOCKSERV_EXPORT std::string printable(std::string_view text);

/// Returns the name of a type as programs write it: without the inline namespace of sockserv's.
SOCKSERV_EXPORT std::string type_name(const std::type_info& type);

}  // namespace sockserv::inline abi_0::detail
