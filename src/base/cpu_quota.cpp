#include "cpu_quota.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <sockserv/detail/descriptor.hpp>

namespace sockserv::inline abi_0::detail {
namespace {

/// Returns what comes before the delimiter, and takes both off the front.
std::string_view next_part(std::string_view& text, char delimiter) noexcept {
  const std::size_t end = std::min(text.find(delimiter), text.size());
  const std::string_view part = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return part;
}

/// Nothing for "max" or -1, which is no quota.
std::optional<double> positive_number(std::string_view text) noexcept {
  std::int64_t number = 0;
  if (std::from_chars(text.data(), text.data() + text.size(), number).ec != std::errc() || number <= 0) return {};
  return static_cast<double>(number);
}

std::optional<double> ratio(std::string_view quota, std::string_view period) noexcept {
  const auto time = positive_number(quota);
  const auto whole = positive_number(period);
  return time && whole ? std::optional(*time / *whole) : std::nullopt;
}

std::optional<double> quota_of_version_2(const std::string& group) {
  const std::string content = content_of(group + "/cpu.max");  // "150000 100000"
  std::string_view rest = content;
  const std::string_view quota = next_part(rest, ' ');
  return ratio(quota, rest);
}

std::optional<double> quota_of_version_1(const std::string& group) {
  return ratio(content_of(group + "/cpu.cfs_quota_us"), content_of(group + "/cpu.cfs_period_us"));
}

/// Of a group and all around it. In a container, folders of the path may be missing.
std::optional<double> smallest(const std::string& root, std::string_view group,
                               std::optional<double> (*quota_of)(const std::string&)) {
  std::optional<double> least;
  for (;;) {
    if (const auto quota = quota_of(root + std::string(group))) least = std::min(least.value_or(*quota), *quota);
    if (group.empty()) return least;
    group = group.substr(0, std::min(group.rfind('/'), group.size()));
  }
}

bool contains(std::string_view list, std::string_view name) noexcept {
  while (!list.empty()) {
    if (next_part(list, ',') == name) return true;
  }
  return false;
}

}  // namespace

std::string content_of(const std::string& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::array<char, 4096> content;
  const ssize_t size = file ? ::read(file.get(), content.data(), content.size()) : 0;
  return {content.data(), static_cast<std::size_t>(std::max<ssize_t>(size, 0))};
}

std::optional<double> cpu_quota(std::string_view groups, const std::string& root) {
  while (!groups.empty()) {
    std::string_view line = next_part(groups, '\n');  // "4:cpu,cpuacct:/a/group", or "0::/a/group" of version 2
    const bool is_version_2 = next_part(line, ':') == "0";
    const std::string_view controllers = next_part(line, ':');
    if (!is_version_2 && !contains(controllers, "cpu")) continue;
    const auto quota = is_version_2 ? smallest(root, line, quota_of_version_2)
                                    : smallest(root + "/" + std::string(controllers), line, quota_of_version_1);
    if (quota) return quota;
  }
  return std::nullopt;
}

}  // namespace sockserv::inline abi_0::detail
