#pragma once

/// Which connections are idle, and when a server that stops ends them.

namespace sockserv::inline abi_0::detail {

/// What a handler waits for when it waits to receive.
enum class WaitsFor : unsigned char {
  more,           ///< The rest of something. The connection is not idle.
  first_request,  ///< Its client's first request, for which there is a grace.
  next_request,   ///< Another one.
};

/// Which idle connections a server that stops ends.
enum class EndIdle : unsigned char {
  after_grace,  ///< Those whose clients have been served, or have said nothing within their grace, now or later.
  at_once,      ///< All.
};

}  // namespace sockserv::inline abi_0::detail
