#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <boost/container/small_vector.hpp>
#include <boost/unordered/unordered_flat_map.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "value.hpp"

namespace kv {

/// Milliseconds since 1970, by the system's clock.
using Time = std::int64_t;

/// When a key expires that does not.
inline constexpr Time never = std::numeric_limits<Time>::max();

Time system_time() noexcept;

/// When `Store::set` writes.
enum class SetCondition { always, if_absent, if_present };

/// What `Store::set` is asked for besides.
struct SetOptions {
  SetCondition condition = SetCondition::always;
  std::optional<Time> expires_at = never;  ///< No value: as before.
  /// If there is one, it is shown the value before, even if nothing is written; null: there was none.
  std::function<void(const Value*)> see_old = {};
};

/// When `Store::expire` sets a time: all that are true must hold.
struct ExpiryCondition {
  bool if_none = false;     ///< The key has none.
  bool if_any = false;      ///< It has one.
  bool if_later = false;    ///< The time is later than the one before; having none is the latest.
  bool if_earlier = false;  ///< It is earlier.
};

/// Keys with values, both of any bytes; a key may have a time at which it expires.
///
/// A key that has expired is gone: whoever looks for it removes it, and `sweep()` removes those that nobody looks for.
///
/// @par Thread safety
/// Safe. One lock guards all of it. Nobody holds it for long: an operation on more than `keys_at_a_time` keys takes it
/// several times, operations on all keys take it for each part of the store, and the bytes of large values are neither
/// copied nor freed under it. Up to `keys_at_a_time` keys, each operation on keys is atomic.
class Store {
 public:
  using Clock = std::function<Time()>;
  /// How many keys an operation looks for before it lets others have their turn.
  static constexpr std::size_t keys_at_a_time = 1000;

  struct Figures {
    std::size_t keys = 0;
    std::size_t expiring = 0;   ///< Those of them that have a time.
    std::uint64_t expired = 0;  ///< How many have expired.
  };

  explicit Store(Clock clock = system_time);

  /// Shows the values of keys, in their order; null: there is none. `see` runs under the lock: it must neither wait nor
  /// use the store.
  template <class Function>
  void read(std::span<const std::string_view> keys, Function&& see) {
    for_each(keys, [&](const Sought& key, Lock& lock) {
      Segment& segment = segment_of(key);
      const auto found = find(key, segment, lock);
      see(found == segment.entries.end() ? nullptr : &found->second.value);
    });
  }

  /// Sets a key's value; false if the condition forbids it.
  bool set(std::string_view key, std::string_view value, const SetOptions& options = {});

  /// Has a function make a new value of a key's (null: there is none), under the lock. If it makes one, that is set,
  /// and expires as the old one. Returns whether it made one.
  template <class Function>
  bool change(std::string_view key, Function&& make) {
    const Sought wanted = sought(key);
    SharedBytes shared;
    Lock lock(*this);
    Segment& segment = segment_of(wanted);
    const auto found = find(wanted, segment, lock);
    const std::optional<std::string_view> value = make(found == segment.entries.end() ? nullptr : &found->second.value);
    if (!value) return false;
    shared = Value::share(*value);
    put(wanted, *value, shared, segment, found);
    return true;
  }

  /// Removes keys; returns how many of them were there.
  std::size_t erase(std::span<const std::string_view> keys);
  /// How many of the keys are there. One that is named twice counts twice.
  std::size_t count(std::span<const std::string_view> keys);

  /// Has a key expire at a time, which may be past, or never; false if there is none or the condition forbids it.
  bool expire(std::string_view key, Time time, ExpiryCondition condition = {});
  /// When a key expires; nothing if there is none.
  std::optional<Time> expires_at(std::string_view key);

  /// Shows all keys, in no order. A key that is there all the time is shown; one that comes or goes meanwhile may be
  /// shown or not. `see` runs without the lock.
  void for_each_key(const std::function<void(std::string_view)>& see) {
    scan(0, std::numeric_limits<std::size_t>::max(), see);
  }

  /// Shows some keys, about `count` of them, and returns where to go on; 0: that was all. Begins at 0. A key that is
  /// there from the first of these calls to the last is shown, whatever is added or removed meanwhile. One that comes
  /// or goes may be shown or not. `see` runs without the lock.
  ///
  /// A cursor has at most `cursor_bits` bits: as many as a number of JavaScript, of Lua or of JSON keeps.
  std::uint64_t scan(std::uint64_t cursor, std::size_t count, const std::function<void(std::string_view)>& see);
  static constexpr int cursor_bits = 53;

  Figures figures();
  /// Removes all keys.
  void clear();

  /// Removes some keys that have expired, and returns how many: looks at a part of the store each time, one after
  /// another, until it has looked at `limit` keys or at all that may have expired. To be called now and then.
  std::size_t sweep(std::size_t limit);

  /// The time, by the store's clock.
  Time now() const { return clock_(); }

 private:
  /// A key to look for, and its hash, which is computed once and before the lock is taken.
  struct Sought {
    std::string_view text;
    std::uint64_t hash;
  };
  struct Key {
    std::string text;
    std::uint64_t hash;
  };
  struct Entry {
    Value value;
    Time expires_at = never;
  };
  /// The table goes by the upper bits, which within a segment are the same for all keys; so it is given the halves
  /// swapped.
  struct Hash {
    using is_transparent = void;
    using is_avalanching = void;
    std::size_t operator()(const Sought& key) const noexcept { return std::rotl(key.hash, 32); }
    std::size_t operator()(const Key& key) const noexcept { return std::rotl(key.hash, 32); }
  };
  struct Equal {
    using is_transparent = void;
    bool operator()(const Key& one, const Key& other) const noexcept { return one.text == other.text; }
    bool operator()(const Sought& one, const Key& other) const noexcept { return one.text == other.text; }
    bool operator()(const Key& one, const Sought& other) const noexcept { return one.text == other.text; }
  };
  using Entries = boost::unordered_flat_map<Key, Entry, Hash, Equal>;

  /// The keys whose hashes have the same upper bits. Segments are what makes some operations short, however many keys
  /// there are: a table that grows holds the store up for a segment only, and `scan` and `sweep` go from one to the
  /// next.
  struct Segment {
    Entries entries;
    Time earliest = never;  // nothing in it expires before
  };
  static constexpr int segment_bits = 10;
  static constexpr int segment_shift = 64 - segment_bits;
  static constexpr std::size_t segment_count = std::size_t{1} << segment_bits;

  /// Holds the lock. The large values that are removed meanwhile are freed when it has released the lock.
  struct Lock {
    explicit Lock(Store& store) : held(store.mutex_) {}
    std::vector<SharedBytes> removed;
    std::scoped_lock<std::mutex> held;
  };

  /// Calls `act(Sought, Lock&)` for each key, under a lock that others can take now and then.
  template <class Function>
  void for_each(std::span<const std::string_view> keys, Function&& act) {
    if (keys.size() == 1) {  // most requests
      const Sought wanted = sought(keys.front());
      Lock lock(*this);
      return act(wanted, lock);
    }
    while (!keys.empty()) {
      const auto some = keys.first(std::min(keys.size(), keys_at_a_time));
      keys = keys.subspan(some.size());
      boost::container::small_vector<Sought, 4> wanted;
      for (const std::string_view key : some) wanted.push_back(sought(key));
      Lock lock(*this);
      for (const Sought& key : wanted) act(key, lock);
    }
  }

  std::uint64_t copy_keys(std::uint64_t cursor, std::size_t& count, std::vector<std::string>& keys);
  static std::uint64_t place_of(const Key& key) noexcept { return key.hash >> (64 - cursor_bits); }

  Sought sought(std::string_view key) const noexcept;
  Segment& segment_of(const Sought& key) noexcept { return segments_[key.hash >> segment_shift]; }
  Entries::iterator find(const Sought& key, Segment& segment, Lock& lock);
  Entry& put(const Sought& key, std::string_view value, SharedBytes& shared, Segment& segment, Entries::iterator found);
  void set_expiry(Entry& entry, Time time, Segment& segment) noexcept;
  void remove(Segment& segment, Entries::iterator position, Lock& lock) noexcept;
  std::size_t remove_expired(Segment& segment, Time now, Lock& lock);

  const Clock clock_;
  const std::array<std::uint64_t, 2> hash_key_;

  std::mutex mutex_;  // guards what follows
  std::vector<Segment> segments_{segment_count};
  Figures figures_;
  std::size_t swept_ = 0;  // the segment to sweep next
};

}  // namespace kv
