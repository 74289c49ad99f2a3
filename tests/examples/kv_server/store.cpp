#include <kv_server/store.hpp>  // first, to test that it is self-contained

#include <doctest/doctest.h>

#include <map>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace kv;
using namespace std::string_literals;

/// A store whose time passes when the test says so.
struct Timed {
  Time now = 1'000'000;
  Store store{[this] { return now; }};

  std::optional<std::string> get(std::string_view key) {
    std::optional<std::string> found;
    store.read({&key, 1}, [&](const Value* value) {
      if (value) found = value->bytes();
    });
    return found;
  }
  bool set_until(std::string_view key, Time time) { return store.set(key, "value", {.expires_at = time}); }
  bool erase(std::string_view key) { return store.erase({&key, 1}) == 1; }
  std::set<std::string> keys() {
    std::set<std::string> found;
    store.for_each_key([&](std::string_view key) { CHECK(found.emplace(key).second); });
    return found;
  }
};

std::string key_number(int number) { return "key:" + std::to_string(number); }

TEST_CASE("what was set last is there until it is removed") {
  Timed timed;
  CHECK(timed.get("key") == std::nullopt);
  CHECK(timed.store.set("key", "one"));
  CHECK(timed.get("key") == "one");
  CHECK(timed.store.set("key", "two"));
  CHECK(timed.get("key") == "two");
  CHECK(timed.store.figures().keys == 1);
  CHECK(timed.erase("key"));
  CHECK_FALSE(timed.erase("key"));
  CHECK(timed.get("key") == std::nullopt);
  CHECK(timed.store.figures().keys == 0);
}

TEST_CASE("keys and values have any bytes and any length") {
  Timed timed;
  const std::string long_value(1'000'000, 'x');
  const std::vector<std::string> texts{"", "\0"s, "\r\n", "\xff\xfe", long_value, "short"};
  for (const std::string& key : texts) {
    for (const std::string& value : texts) {
      CHECK(timed.store.set(key, value));
      CHECK(timed.get(key) == value);
    }
  }
  CHECK(timed.keys() == std::set<std::string>(texts.begin(), texts.end()));
}

TEST_CASE("set heeds its condition, and shows what was there before") {
  Timed timed;
  std::vector<std::string> seen;
  const auto see = [&](const Value* value) { seen.emplace_back(value ? value->bytes() : "nothing"); };
  CHECK_FALSE(timed.store.set("key", "1", {.condition = SetCondition::if_present, .see_old = see}));
  CHECK(timed.store.set("key", "2", {.condition = SetCondition::if_absent, .see_old = see}));
  CHECK_FALSE(timed.store.set("key", "3", {.condition = SetCondition::if_absent, .see_old = see}));
  CHECK(timed.store.set("key", "4", {.condition = SetCondition::if_present, .see_old = see}));
  CHECK(timed.get("key") == "4");
  CHECK(seen == std::vector<std::string>{"nothing", "nothing", "2", "2"});
}

TEST_CASE("a key is gone at its time, for whoever looks for it") {
  Timed timed;
  std::string_view key = "key";
  const auto set = [&] {
    timed.now = 1'000'000;
    timed.set_until("key", timed.now + 10);
    timed.now += 9;
    CHECK(timed.get("key") == "value");
    ++timed.now;
  };
  set();
  CHECK(timed.get("key") == std::nullopt);
  CHECK(timed.store.figures().keys == 0);
  CHECK(timed.store.figures().expiring == 0);
  CHECK(timed.store.figures().expired == 1);
  set();
  CHECK(timed.store.count({&key, 1}) == 0);
  set();
  CHECK_FALSE(timed.erase("key"));
  set();
  CHECK_FALSE(timed.store.expire("key", never));
  set();
  CHECK(timed.store.expires_at("key") == std::nullopt);
  set();
  CHECK_FALSE(timed.store.set("key", "new", {.condition = SetCondition::if_present}));
  set();
  CHECK(timed.keys().empty());
  set();
  CHECK(timed.store.scan(0, 10, [](std::string_view) { FAIL("an expired key was shown"); }) == 0);
  set();
  CHECK(timed.store.change("key", [](const Value* value) {
    CHECK(value == nullptr);
    return std::string_view("new");
  }));
  CHECK(timed.store.expires_at("key") == never);
}

TEST_CASE("setting a key forgets its time unless that is to be kept, and changing it keeps it") {
  Timed timed;
  timed.set_until("key", timed.now + 10);
  CHECK(timed.store.figures().expiring == 1);
  CHECK(timed.store.set("key", "new", {.expires_at = std::nullopt}));
  CHECK(timed.store.expires_at("key") == timed.now + 10);
  CHECK(timed.store.change("key", [](const Value*) { return std::string_view("newer"); }));
  CHECK(timed.store.expires_at("key") == timed.now + 10);
  CHECK(timed.store.set("key", "newest"));
  CHECK(timed.store.expires_at("key") == never);
  CHECK(timed.store.figures().expiring == 0);
  CHECK(timed.store.set("other", "new", {.expires_at = std::nullopt}));
  CHECK(timed.store.expires_at("other") == never);
}

TEST_CASE("change sets what the function makes, if it makes something") {
  Timed timed;
  CHECK(timed.store.change("key", [](const Value* old) -> std::optional<std::string_view> {
    CHECK(old == nullptr);
    return "one";
  }));
  CHECK_FALSE(timed.store.change("key", [](const Value* old) -> std::optional<std::string_view> {
    CHECK(old->bytes() == "one");
    return std::nullopt;
  }));
  CHECK(timed.get("key") == "one");
  CHECK_FALSE(timed.store.change("other", [](const Value*) { return std::optional<std::string_view>(); }));
  CHECK(timed.get("other") == std::nullopt);
}

TEST_CASE("expire sets a time where its conditions hold") {
  Timed timed;
  const Time soon = timed.now + 10;
  const Time later = timed.now + 20;
  CHECK_FALSE(timed.store.expire("key", soon));
  timed.store.set("key", "value");
  CHECK_FALSE(timed.store.expire("key", soon, {.if_any = true}));
  CHECK_FALSE(timed.store.expire("key", soon, {.if_later = true}));
  CHECK(timed.store.expire("key", later, {.if_none = true}));
  CHECK_FALSE(timed.store.expire("key", soon, {.if_none = true}));
  CHECK_FALSE(timed.store.expire("key", soon, {.if_later = true}));
  CHECK_FALSE(timed.store.expire("key", later, {.if_later = true}));
  CHECK_FALSE(timed.store.expire("key", later, {.if_earlier = true}));
  CHECK(timed.store.expire("key", soon, {.if_any = true, .if_earlier = true}));
  CHECK(timed.store.expires_at("key") == soon);
  CHECK(timed.store.expire("key", never, {.if_any = true}));
  CHECK(timed.store.expires_at("key") == never);
  CHECK(timed.store.expire("key", soon, {.if_earlier = true}));
  CHECK(timed.store.expire("key", timed.now));  // the past removes it
  CHECK(timed.get("key") == std::nullopt);
  CHECK(timed.store.figures().expiring == 0);
}

TEST_CASE("sweeping removes what has expired, and nothing else") {
  Timed timed;
  for (int i = 0; i < 1000; ++i) timed.set_until(key_number(i), timed.now + 1 + i);
  timed.store.set("indefinitely", "value");
  CHECK(timed.store.sweep(1'000'000) == 0);
  timed.now += 500;
  CHECK(timed.store.sweep(1'000'000) == 500);
  CHECK(timed.store.figures().keys == 501);
  CHECK(timed.store.figures().expiring == 500);
  CHECK(timed.store.figures().expired == 500);
  CHECK(timed.store.sweep(1'000'000) == 0);
  timed.now += 500;
  CHECK(timed.store.sweep(1'000'000) == 500);
  CHECK(timed.keys() == std::set<std::string>{"indefinitely"});
}

TEST_CASE("sweeping goes on where it stopped") {
  Timed timed;
  for (int i = 0; i < 20'000; ++i) timed.set_until(key_number(i), timed.now + 1);
  ++timed.now;
  std::size_t removed = 0;
  int sweeps = 0;
  while (removed < 20'000) {
    const std::size_t count = timed.store.sweep(1000);
    CHECK(count > 0);
    CHECK(count < 1500);  // a segment has some 20 keys
    removed += count;
    REQUIRE(++sweeps <= 21);
  }
  CHECK(timed.store.figures().keys == 0);
}

TEST_CASE("a key that is set to expire sooner is swept sooner") {
  Timed timed;
  timed.set_until("key", timed.now + 100);
  CHECK(timed.store.sweep(10) == 0);
  timed.store.expire("key", timed.now + 10);
  timed.now += 10;
  CHECK(timed.store.sweep(10) == 1);
}

TEST_CASE("scanning shows each key once, about as many at a time as is asked for") {
  for (const std::size_t count : {1U, 10U, 1000U, 1'000'000U}) {
    Timed timed;
    for (int i = 0; i < 5000; ++i) timed.store.set(key_number(i), "");
    std::set<std::string> seen;
    std::uint64_t cursor = 0;
    std::size_t calls = 0;
    do {
      std::size_t shown = 0;
      cursor = timed.store.scan(cursor, count, [&](std::string_view key) {
        CHECK(seen.emplace(key).second);
        ++shown;
      });
      CHECK(shown <= count);
      REQUIRE(++calls <= 5000 / count + 1);
    } while (cursor != 0);
    CHECK(seen.size() == 5000);
  }
}

TEST_CASE("a cursor is a number that a double keeps") {
  Timed timed;
  for (int i = 0; i < 5000; ++i) timed.store.set(key_number(i), "");
  std::uint64_t cursor = 0;
  do {
    cursor = timed.store.scan(cursor, 1, [](std::string_view) {});
    CHECK(cursor < std::uint64_t{1} << 53);
    CHECK(static_cast<std::uint64_t>(static_cast<double>(cursor)) == cursor);
  } while (cursor != 0);
}

TEST_CASE("who is shown keys may use the store") {
  Timed timed;
  for (int i = 0; i < 100; ++i) timed.store.set(key_number(i), "");
  const auto erase = [&](std::string_view key) { CHECK(timed.erase(key)); };
  const std::uint64_t cursor = timed.store.scan(0, 50, erase);
  CHECK(timed.store.figures().keys == 50);
  CHECK(timed.store.scan(cursor, 1000, erase) == 0);
  CHECK(timed.store.figures().keys == 0);
  timed.store.set("key", "");
  timed.store.for_each_key(erase);
  CHECK(timed.store.figures().keys == 0);
}

TEST_CASE("operations take any number of keys") {
  Timed timed;
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < 3 * Store::keys_at_a_time + 1; ++i) texts.push_back(key_number(static_cast<int>(i)));
  const std::vector<std::string_view> keys(texts.begin(), texts.end());
  for (const std::string_view key : keys) timed.store.set(key, key);
  std::size_t next = 0;
  timed.store.read(keys, [&](const Value* value) { CHECK(value->bytes() == keys[next++]); });
  CHECK(next == keys.size());
  CHECK(timed.store.count(keys) == keys.size());
  CHECK(timed.store.erase(keys) == keys.size());
  CHECK(timed.store.count(keys) == 0);
}

TEST_CASE("a large value can be kept, whatever becomes of its key") {
  Timed timed;
  const std::string large(Value::most_in_place + 1, 'x');
  timed.store.set("key", large);
  SharedBytes kept;
  const std::string_view key = "key";
  timed.store.read({&key, 1}, [&](const Value* value) { kept = value->shared(); });
  CHECK(*kept == large);
  CHECK(kept.use_count() == 2);
  SUBCASE("it is set to a small one") { timed.store.set("key", "small"); }
  SUBCASE("it is set to another large one") { timed.store.set("key", large + "x"); }
  SUBCASE("it is changed") {
    timed.store.change("key", [](const Value*) { return std::optional<std::string_view>("1"); });
  }
  SUBCASE("it is removed") { timed.erase("key"); }
  SUBCASE("it expires, and is looked for") {
    timed.store.expire("key", timed.now + 1);
    ++timed.now;
    CHECK(timed.get("key") == std::nullopt);
  }
  SUBCASE("it expires, and is swept") {
    timed.store.expire("key", timed.now + 1);
    ++timed.now;
    CHECK(timed.store.sweep(10) == 1);
  }
  SUBCASE("all keys are removed") { timed.store.clear(); }
  CHECK(kept.use_count() == 1);
  CHECK(*kept == large);
}

TEST_CASE("scanning an empty store ends at once, and any cursor is one") {
  Timed timed;
  const auto nothing = [](std::string_view) { FAIL("there is no key"); };
  CHECK(timed.store.scan(0, 10, nothing) == 0);
  CHECK(timed.store.scan(std::numeric_limits<std::uint64_t>::max(), 10, nothing) == 0);
}

TEST_CASE("scanning misses no key that is there all the time, whatever else comes and goes") {
  std::mt19937 random(1);  // NOLINT(bugprone-random-generator-seed): the same each time
  for (int trial = 0; trial < 20; ++trial) {
    Timed timed;
    std::set<std::string> staying;
    const int keys = static_cast<int>(random() % 3000);
    for (int i = 0; i < keys; ++i) {
      staying.insert(key_number(i));
      timed.store.set(key_number(i), "");
    }
    // The tables grow by more than they have, shrink again, and are rewritten, between any two calls.
    int next = keys;
    std::vector<std::string> others;
    std::set<std::string> seen;
    std::uint64_t cursor = 0;
    do {
      cursor = timed.store.scan(cursor, 1 + random() % 50, [&](std::string_view key) { seen.emplace(key); });
      for (std::size_t i = random() % 200; i > 0; --i) {
        others.push_back(key_number(next++));
        timed.store.set(others.back(), "");
      }
      for (std::size_t i = random() % 200; i > 0 && !others.empty(); --i) {
        CHECK(timed.erase(others.back()));
        others.pop_back();
      }
      if (keys > 0) timed.store.set(key_number(static_cast<int>(random()) % keys), "new");
    } while (cursor != 0);
    for (const std::string& key : staying) CHECK_MESSAGE(seen.contains(key), key);
  }
}

TEST_CASE("clearing removes everything") {
  Timed timed;
  for (int i = 0; i < 1000; ++i) timed.set_until(key_number(i), timed.now + 1 + i % 2);
  timed.store.clear();
  CHECK(timed.keys().empty());
  CHECK(timed.store.figures().keys == 0);
  CHECK(timed.store.figures().expiring == 0);
  CHECK(timed.store.set("key", "value"));
  CHECK(timed.store.figures().keys == 1);
}

TEST_CASE("a store and a map that has no time agree on any sequence of operations") {
  std::mt19937 random(2);  // NOLINT(bugprone-random-generator-seed): the same each time
  Timed timed;
  std::map<std::string, std::string> expected;
  for (int i = 0; i < 50'000; ++i) {
    const std::string key = key_number(static_cast<int>(random() % 2000));
    if (random() % 3 == 0) {
      CHECK(timed.erase(key) == (expected.erase(key) == 1));
    } else {
      const std::string value(random() % 40, static_cast<char>('a' + random() % 26));
      CHECK(timed.store.set(key, value));
      expected[key] = value;
    }
  }
  CHECK(timed.store.figures().keys == expected.size());
  for (const auto& [key, value] : expected) CHECK(timed.get(key) == value);
}

TEST_CASE("threads share a store, and no change of theirs is lost") {
  Store store;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&store, i] {
      std::string text;
      for (int j = 0; j < 2000; ++j) {
        store.change("sum", [&](const Value* old) -> std::optional<std::string_view> {
          text = std::to_string(old ? std::stoi(std::string(old->bytes())) + 1 : 1);
          return text;
        });
        const std::string key = key_number(i * 10'000 + j);
        store.set(key, "", {.expires_at = system_time() + 1});
        store.scan(0, 1, [](std::string_view) {});
        if (j % 100 == 0) store.sweep(1000);
        if (j % 2 == 0) store.expire(key, never);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const std::string_view key = "sum";
  store.read({&key, 1}, [](const Value* value) { CHECK(value->bytes() == "8000"); });
}

}  // namespace
