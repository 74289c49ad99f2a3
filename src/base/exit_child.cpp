#include "exit_child.hpp"

#include <stdio_ext.h>
#include <unistd.h>

#include <cstdio>
#include <iostream>
#include <sockserv/error.hpp>
#include <streambuf>

namespace sockserv::inline abi_0::detail {
namespace {

/// Knows whether a stream holds output of its own, as it does if the program has called sync_with_stdio(false).
struct Pending : std::streambuf {
  static bool any(const std::streambuf& buffer) {
    return (buffer.*(&Pending::pptr))() != (buffer.*(&Pending::pbase))();
  }
};

}  // namespace

void flush_standard_streams() noexcept {
  // Looks first, because flushing writes to memory even where there is nothing to flush, and around a fork each page
  // that is written to has to be copied.
  for (std::FILE* const file : {stdout, stderr}) {
    if (::__fpending(file) > 0) std::fflush(file);
  }
  for (std::ostream* const stream : {&std::cout, &std::cerr, &std::clog}) {
    const std::streambuf* const buffer = stream->rdbuf();
    if (buffer && Pending::any(*buffer)) error_of([&] { stream->flush(); });  // a stream may be set to throw
  }
}

void exit_child(int status) noexcept {
  flush_standard_streams();
  ::_exit(status);
}

}  // namespace sockserv::inline abi_0::detail
