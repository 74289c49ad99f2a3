#pragma once

#include <string_view>

namespace web {

/// Returns true if the text is `host` or `host:port` by the grammar of RFC 3986, 3.2.2 and 3.2.3: a name, an IPv4
/// address, or an IPv6 address in brackets. The port may be empty, the host not. A user's name in front of the host is
/// refused, as RFC 9110, 4.2.4, advises.
bool is_authority(std::string_view text);

}  // namespace web
