#pragma once

#include <cstddef>
#include <iterator>
#include <optional>
#include <string_view>

namespace sockserv::inline abi_0::detail {

/// Iterates over what a source gives one after the other, until it gives nothing. Ends at `std::default_sentinel`.
template <class Source, std::optional<std::string_view> (Source::*next)()>
class ViewIterator {
 public:
  using value_type = std::string_view;
  using difference_type = std::ptrdiff_t;
  using iterator_concept = std::input_iterator_tag;

  ViewIterator() = default;
  explicit ViewIterator(Source& source) : source_(&source) { ++*this; }

  const std::string_view& operator*() const noexcept { return *view_; }
  ViewIterator& operator++() {
    view_ = (source_->*next)();
    return *this;
  }
  void operator++(int) { ++*this; }
  bool operator==(std::default_sentinel_t) const noexcept { return !view_; }

 private:
  Source* source_ = nullptr;
  std::optional<std::string_view> view_;
};

}  // namespace sockserv::inline abi_0::detail
