#include "selection.hpp"

#include <algorithm>
#include <boost/algorithm/string/predicate.hpp>
#include <charconv>
#include <limits>
#include <optional>
#include <string_view>

#include "date.hpp"

namespace web {
namespace {

using http::field;
using http::status;

bool is_weak(std::string_view etag) { return etag.starts_with("W/"); }
std::string_view opaque(std::string_view etag) { return etag.substr(is_weak(etag) ? 2 : 0); }

/// How entity tags are compared (RFC 9110, 8.8.3.2): only the strong comparison tells weak tags from strong ones, and
/// finds nothing that equals a weak one.
enum class Comparison : bool { weak, strong };

bool are_equal(std::string_view one, std::string_view other, Comparison comparison) {
  if (comparison == Comparison::strong && (is_weak(one) || is_weak(other))) return false;
  return opaque(one) == opaque(other);
}

/// True if a list of entity tags has this one, or is `*`. Tags have no quotation marks in them but may have commas.
bool lists(std::string_view list, std::string_view etag, Comparison comparison) {
  if (trimmed(list) == "*") return true;
  while (!list.empty()) {
    list.remove_prefix(std::min(list.find_first_not_of(" \t,"), list.size()));
    const std::size_t begin = is_weak(list) ? 2 : 0;
    const std::size_t end = list.substr(begin).starts_with('"') ? list.find('"', begin + 1) : list.npos;
    if (end == list.npos) return false;  // not a list of tags
    if (are_equal(list.substr(0, end + 1), etag, comparison)) return true;
    list.remove_prefix(end + 1);
  }
  return false;
}

std::optional<std::time_t> date_in(const Head& head, field name) {
  const std::string value = head.value(name);
  return value.empty() ? std::nullopt : parse_http_date(value);
}

/// The status that the conditions lead to, in the order of RFC 9110, 13.2.2; `ok` if they let the request pass.
status evaluate(const Head& head, const FileVersion& file) {
  if (const auto tags = head.value(field::if_match); !tags.empty()) {
    if (!lists(tags, file.etag, Comparison::strong)) return status::precondition_failed;
  } else if (const auto date = date_in(head, field::if_unmodified_since); date && file.modified > *date) {
    return status::precondition_failed;
  }
  if (const auto tags = head.value(field::if_none_match); !tags.empty()) {
    if (lists(tags, file.etag, Comparison::weak)) return status::not_modified;
  } else if (const auto date = date_in(head, field::if_modified_since); date && file.modified <= *date) {
    return status::not_modified;
  }
  return status::ok;
}

/// RFC 9110, 13.1.5: a range only of the version that the client has the rest of. A date does not tell it while the
/// file may change once more in the same second (8.8.2.2).
bool range_applies(const Head& head, const FileVersion& file) {
  const std::string condition = head.value(field::if_range);
  if (condition.empty()) return true;
  if (condition.starts_with('"') || is_weak(condition)) return are_equal(condition, file.etag, Comparison::strong);
  const auto date = parse_http_date(condition);
  return date && *date == file.modified && file.modified < file.seen;
}

/// A number of any length; one that is too large for 64 bits is as good as the largest.
std::optional<std::uint64_t> number(std::string_view digits) {
  std::uint64_t value = 0;
  const char* const end = digits.data() + digits.size();
  const auto [rest, error] = std::from_chars(digits.data(), end, value);
  if (rest != end) return std::nullopt;
  if (error == std::errc::result_out_of_range) return std::numeric_limits<std::uint64_t>::max();
  return error == std::errc() ? std::optional(value) : std::nullopt;
}

/// What a single range selects; no value: it is none, or several.
std::optional<Selection> select_range(std::string_view value, std::uint64_t size) {
  constexpr std::string_view unit = "bytes=";
  if (!boost::istarts_with(value, unit)) return std::nullopt;
  const std::string_view range = trimmed(value.substr(unit.size()));
  const std::size_t dash = range.find('-');
  if (dash == range.npos) return std::nullopt;
  const bool has_first = dash > 0;
  const bool has_last = dash + 1 < range.size();
  const auto first = number(range.substr(0, dash));
  const auto last = number(range.substr(dash + 1));
  if (has_first != first.has_value() || has_last != last.has_value() || (!first && !last)) return std::nullopt;
  if (first && last && *first > *last) return std::nullopt;
  // Clients that only want to limit what they get ask an empty file for a range; no range of it can be named.
  if (size == 0) return std::nullopt;
  if (first ? *first >= size : *last == 0) return Selection{status::range_not_satisfiable};
  const std::uint64_t offset = first ? *first : size - std::min(*last, size);
  const std::uint64_t end = first && last ? std::min(*last, size - 1) + 1 : size;
  return Selection{status::partial_content, offset, end - offset};
}

}  // namespace

Selection select(const Head& head, const FileVersion& file) {
  const status status = evaluate(head, file);
  if (status != status::ok) return {status};
  if (const auto range = head.value(field::range);
      !range.empty() && head.method == http::verb::get && range_applies(head, file)) {
    if (const auto selection = select_range(range, file.size)) return *selection;
  }
  return {status::ok, 0, file.size};
}

}  // namespace web
