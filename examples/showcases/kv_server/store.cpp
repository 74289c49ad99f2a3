#include "store.hpp"

#include <algorithm>
#include <new>
#include <random>
#include <utility>

#include "siphash.hpp"

namespace kv {
namespace {

std::uint64_t random_word() {
  std::random_device device;
  return std::uint64_t{device()} << 32 | device();
}

/// Sees to it that a value that is large is freed later.
void keep_for_later(const Value& value, std::vector<SharedBytes>& removed) noexcept {
  try {
    if (SharedBytes shared = value.shared()) removed.push_back(std::move(shared));
  } catch (const std::bad_alloc&) {
    // It is freed at once.
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
  SharedBytes shared = Value::share(value);
  Lock lock(*this);
  Segment& segment = segment_of(wanted);
  const auto found = find(wanted, segment, lock);
  const bool exists = found != segment.entries.end();
  if (options.see_old) options.see_old(exists ? &found->second.value : nullptr);
  if (options.condition == (exists ? SetCondition::if_absent : SetCondition::if_present)) return false;
  Entry& entry = put(wanted, value, shared, segment, found);
  if (options.expires_at) set_expiry(entry, *options.expires_at, segment);
  return true;
}

std::size_t Store::erase(std::span<const std::string_view> keys) {
  std::size_t erased = 0;
  for_each(keys, [&](const Sought& key, Lock& lock) {
    Segment& segment = segment_of(key);
    if (const auto found = find(key, segment, lock); found != segment.entries.end()) {
      remove(segment, found, lock);
      ++erased;
    }
  });
  return erased;
}

std::size_t Store::count(std::span<const std::string_view> keys) {
  std::size_t found = 0;
  read(keys, [&](const Value* value) { found += value != nullptr; });
  return found;
}

bool Store::expire(std::string_view key, Time time, ExpiryCondition condition) {
  const Sought wanted = sought(key);
  Lock lock(*this);
  Segment& segment = segment_of(wanted);
  const auto found = find(wanted, segment, lock);
  if (found == segment.entries.end()) return false;
  Entry& entry = found->second;
  const Time before = entry.expires_at;
  if (condition.if_none && before != never) return false;
  if (condition.if_any && before == never) return false;
  if (condition.if_later && time <= before) return false;
  if (condition.if_earlier && time >= before) return false;
  if (time <= clock_()) {
    remove(segment, found, lock);
  } else {
    set_expiry(entry, time, segment);
  }
  return true;
}

std::optional<Time> Store::expires_at(std::string_view key) {
  const Sought wanted = sought(key);
  Lock lock(*this);
  Segment& segment = segment_of(wanted);
  const auto found = find(wanted, segment, lock);
  return found == segment.entries.end() ? std::nullopt : std::optional(found->second.expires_at);
}

std::uint64_t Store::scan(std::uint64_t cursor, std::size_t count, const std::function<void(std::string_view)>& see) {
  constexpr std::uint64_t end = std::uint64_t{1} << cursor_bits;
  std::vector<std::string> keys;
  while (cursor < end && count > 0) {
    keys.clear();
    cursor = copy_keys(cursor, count, keys);
    for (const std::string& key : keys) see(key);
  }
  return cursor < end ? cursor : 0;
}

/// Copies keys of one segment, `count` at the most but for those at the same place, and returns where to go on. `count`
/// becomes how many more are wanted.
///
/// A cursor is a place among all hashes: the upper bits of one. It goes through them in order, and a key's hash never
/// changes. So no key is left out, however the tables are laid out by then.
std::uint64_t Store::copy_keys(std::uint64_t cursor, std::size_t& count, std::vector<std::string>& keys) {
  constexpr int shift = cursor_bits - segment_bits;
  const std::uint64_t index = cursor >> shift;
  const std::scoped_lock lock(mutex_);
  const Time now = clock_();
  std::vector<const Entries::value_type*> candidates;
  for (const auto& candidate : segments_[index].entries) {
    if (place_of(candidate.first) >= cursor) candidates.push_back(&candidate);
  }
  std::uint64_t next = (index + 1) << shift;
  if (candidates.size() > count) {
    const auto last = candidates.begin() + static_cast<std::ptrdiff_t>(count) - 1;
    std::nth_element(candidates.begin(), last, candidates.end(),
                     [](auto one, auto other) { return one->first.hash < other->first.hash; });
    next = place_of((*last)->first) + 1;
  }
  for (const auto* candidate : candidates) {
    if (place_of(candidate->first) < next && candidate->second.expires_at > now) keys.push_back(candidate->first.text);
  }
  count -= std::min(count, candidates.size());
  return next;
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
    Lock lock(*this);  // anew each time, so that others wait for a part only
    Segment& segment = segments_[swept_];
    swept_ = (swept_ + 1) % segment_count;
    if (segment.earliest > now) continue;
    looked_at += segment.entries.size();
    removed += remove_expired(segment, now, lock);
  }
  return removed;
}

Store::Sought Store::sought(std::string_view key) const noexcept { return {key, siphash(hash_key_, key)}; }

/// Where a key is, unless it has expired: then it is removed.
Store::Entries::iterator Store::find(const Sought& key, Segment& segment, Lock& lock) {
  const auto found = segment.entries.find(key);
  if (found == segment.entries.end() || found->second.expires_at == never || found->second.expires_at > clock_()) {
    return found;
  }
  remove(segment, found, lock);
  ++figures_.expired;
  return segment.entries.end();
}

/// Writes a value, which `shared` is if it is large: over the one that has been found, if one has. `shared` becomes
/// what to free when the lock has been released.
Store::Entry& Store::put(const Sought& key, std::string_view value, SharedBytes& shared, Segment& segment,
                         Entries::iterator found) {
  if (found != segment.entries.end()) {
    found->second.value.set(value, shared);
    return found->second;
  }
  Entry entry;
  entry.value.set(value, shared);
  const auto made = segment.entries.emplace(Key{std::string(key.text), key.hash}, std::move(entry)).first;
  ++figures_.keys;
  return made->second;
}

void Store::set_expiry(Entry& entry, Time time, Segment& segment) noexcept {
  figures_.expiring -= entry.expires_at != never;
  figures_.expiring += time != never;
  entry.expires_at = time;
  segment.earliest = std::min(segment.earliest, time);
}

void Store::remove(Segment& segment, Entries::iterator position, Lock& lock) noexcept {
  figures_.expiring -= position->second.expires_at != never;
  --figures_.keys;
  keep_for_later(position->second.value, lock.removed);
  segment.entries.erase(position);
}

std::size_t Store::remove_expired(Segment& segment, Time now, Lock& lock) {
  segment.earliest = never;
  const auto has_expired = [&](const Entries::value_type& candidate) {
    const Time time = candidate.second.expires_at;
    if (time > now) {
      segment.earliest = std::min(segment.earliest, time);
      return false;
    }
    keep_for_later(candidate.second.value, lock.removed);
    return true;
  };
  const std::size_t removed = boost::unordered::erase_if(segment.entries, has_expired);
  figures_.keys -= removed;
  figures_.expiring -= removed;
  figures_.expired += removed;
  return removed;
}

}  // namespace kv
