#include "closed_together.hpp"

#include <unistd.h>

#include <span>

namespace sockserv::inline abi_0::detail {
namespace {

void close_all(int first, int last) noexcept {
  if (first != last && ::close_range(static_cast<unsigned>(first), static_cast<unsigned>(last), 0) == 0) return;
  for (int each = first; each <= last; ++each) ::close(each);  // there is one, or Linux is older than 5.9
}

}  // namespace

void ClosedTogether::add(int descriptor) noexcept {
  if (descriptor < 0) return;
  for (Range& range : std::span(ranges_).first(count_)) {
    if (descriptor == range.first - 1) return static_cast<void>(range.first = descriptor);
    if (descriptor == range.last + 1) return static_cast<void>(range.last = descriptor);
  }
  if (count_ == ranges_.size()) close();
  ranges_[count_++] = {descriptor, descriptor};
}

void ClosedTogether::close() noexcept {
  for (const Range& range : std::span(ranges_).first(count_)) close_all(range.first, range.last);
  count_ = 0;
}

}  // namespace sockserv::inline abi_0::detail
