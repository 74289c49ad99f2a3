#include "store.hpp"

#include <algorithm>
#include <random>
#include <utility>

#include "siphash.hpp"

namespace kv {
namespace {

std::uint64_t random_word() {
  std::random_device device;
  return std::uint64_t{device()} << 32 | device();
}

/// Without keeping much more memory than it takes.
void assign(std::string& value, std::string_view bytes) {
  if (value.capacity() > 2 * bytes.size() + 64) {
    value = std::string(bytes);
  } else {
    value.assign(bytes);
  }
}

}  // namespace

Time system_time() noexcept {
  const auto since_1970 = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(since_1970).count();
}

Store::Store(Clock clock) : clock_(std::move(clock)), hash_key_{random_word(), random_word()} {}

bool Store::set(std::string_view key, std::string_view value, const SetOptions& options) {
  const Sought wanted = sought(key);
  const std::scoped_lock lock(mutex_);
  Segment& segment = segment_of(wanted);
  const auto found = find(wanted, segment);
  const bool exists = found != segment.entries.end();
  if (options.see_old) options.see_old(exists ? &found->second.value : nullptr);
  if (options.condition == (exists ? SetCondition::if_absent : SetCondition::if_present)) return false;
  Entry& entry = put(wanted, value, segment, found);
  if (options.expires_at) set_expiry(entry, *options.expires_at, segment);
  return true;
}

std::size_t Store::erase(std::span<const std::string_view> keys) {
  const std::scoped_lock lock(mutex_);
  std::size_t erased = 0;
  for (const std::string_view key : keys) {
    const Sought wanted = sought(key);
    Segment& segment = segment_of(wanted);
    if (const auto found = find(wanted, segment); found != segment.entries.end()) {
      remove(segment, found);
      ++erased;
    }
  }
  return erased;
}

std::size_t Store::count(std::span<const std::string_view> keys) {
  std::size_t found = 0;
  read(keys, [&](const std::string* value) { found += value != nullptr; });
  return found;
}

bool Store::expire(std::string_view key, Time time, ExpiryCondition condition) {
  const Sought wanted = sought(key);
  const std::scoped_lock lock(mutex_);
  Segment& segment = segment_of(wanted);
  const auto found = find(wanted, segment);
  if (found == segment.entries.end()) return false;
  Entry& entry = found->second;
  const Time before = entry.expires_at;
  if (condition.if_none && before != never) return false;
  if (condition.if_any && before == never) return false;
  if (condition.if_later && time <= before) return false;
  if (condition.if_earlier && time >= before) return false;
  if (time <= clock_()) {
    remove(segment, found);
  } else {
    set_expiry(entry, time, segment);
  }
  return true;
}

std::optional<Time> Store::expires_at(std::string_view key) {
  const Sought wanted = sought(key);
  const std::scoped_lock lock(mutex_);
  Segment& segment = segment_of(wanted);
  const auto found = find(wanted, segment);
  return found == segment.entries.end() ? std::nullopt : std::optional(found->second.expires_at);
}

std::uint64_t Store::scan(std::uint64_t cursor, std::size_t count, const std::function<void(std::string_view)>& see) {
  // The cursor is a hash: it goes through all that a hash can be, in order, and a key's never changes. So no key is
  // left out, however the tables are laid out by then.
  const std::scoped_lock lock(mutex_);
  const Time now = clock_();
  std::vector<const Entries::value_type*> candidates;
  for (std::uint64_t index = cursor >> segment_shift; index < segment_count; ++index) {
    candidates.clear();
    for (const auto& candidate : segments_[index].entries) {
      if (candidate.first.hash >= cursor) candidates.push_back(&candidate);
    }
    std::uint64_t last = std::numeric_limits<std::uint64_t>::max();
    const bool too_many = candidates.size() > count;
    if (too_many) {
      const auto last_of_them = candidates.begin() + static_cast<std::ptrdiff_t>(count) - 1;
      std::nth_element(candidates.begin(), last_of_them, candidates.end(),
                       [](auto one, auto other) { return one->first.hash < other->first.hash; });
      last = (*last_of_them)->first.hash;
    }
    for (const auto* candidate : candidates) {
      if (candidate->first.hash <= last && candidate->second.expires_at > now) see(candidate->first.text);
    }
    if (too_many) return last + 1;
    count -= candidates.size();
    cursor = (index + 1) << segment_shift;
    if (count == 0) return cursor;
  }
  return 0;
}

Store::Figures Store::figures() {
  const std::scoped_lock lock(mutex_);
  return figures_;
}

void Store::clear() {
  std::vector<Segment> old(segment_count);  // freed without the lock
  const std::scoped_lock lock(mutex_);
  segments_.swap(old);
  figures_.keys = figures_.expiring = 0;
}

std::size_t Store::sweep(std::size_t limit) {
  const Time now = clock_();
  std::size_t removed = 0;
  std::size_t looked_at = 0;
  for (std::size_t i = 0; i < segment_count && looked_at < limit; ++i) {
    const std::scoped_lock lock(mutex_);  // anew each time, lest others wait for long
    Segment& segment = segments_[swept_];
    swept_ = (swept_ + 1) % segment_count;
    if (segment.earliest > now) continue;
    looked_at += segment.entries.size();
    removed += remove_expired(segment, now);
  }
  return removed;
}

Store::Sought Store::sought(std::string_view key) const noexcept { return {key, siphash(hash_key_, key)}; }

/// Where a key is, unless it has expired: then it is removed.
Store::Entries::iterator Store::find(const Sought& key, Segment& segment) {
  const auto found = segment.entries.find(key);
  if (found == segment.entries.end() || found->second.expires_at == never || found->second.expires_at > clock_()) {
    return found;
  }
  remove(segment, found);
  ++figures_.expired;
  return segment.entries.end();
}

const std::string* Store::value_of(std::string_view key) {
  const Sought wanted = sought(key);
  Segment& segment = segment_of(wanted);
  const auto found = find(wanted, segment);
  return found == segment.entries.end() ? nullptr : &found->second.value;
}

/// Writes a value: over the one that has been found, if one has.
Store::Entry& Store::put(const Sought& key, std::string_view value, Segment& segment, Entries::iterator found) {
  if (found != segment.entries.end()) {
    assign(found->second.value, value);
    return found->second;
  }
  const auto made = segment.entries.emplace(Key{std::string(key.text), key.hash}, Entry{std::string(value)}).first;
  ++figures_.keys;
  return made->second;
}

void Store::set_expiry(Entry& entry, Time time, Segment& segment) noexcept {
  figures_.expiring -= entry.expires_at != never;
  figures_.expiring += time != never;
  entry.expires_at = time;
  segment.earliest = std::min(segment.earliest, time);
}

void Store::remove(Segment& segment, Entries::iterator position) noexcept {
  figures_.expiring -= position->second.expires_at != never;
  --figures_.keys;
  segment.entries.erase(position);
}

std::size_t Store::remove_expired(Segment& segment, Time now) {
  segment.earliest = never;
  const auto has_expired = [&](const Entries::value_type& candidate) {
    const Time time = candidate.second.expires_at;
    if (time <= now) return true;
    segment.earliest = std::min(segment.earliest, time);
    return false;
  };
  const std::size_t removed = boost::unordered::erase_if(segment.entries, has_expired);
  figures_.keys -= removed;
  figures_.expiring -= removed;
  figures_.expired += removed;
  return removed;
}

}  // namespace kv
