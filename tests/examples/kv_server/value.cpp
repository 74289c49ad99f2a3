#include <kv_server/value.hpp>  // first, to test that it is self-contained

#include <doctest/doctest.h>

#include <string>

namespace {

using namespace kv;

const std::string few(Value::most_in_place, 'f');
const std::string many(Value::most_in_place + 1, 'm');

TEST_CASE("a value has the bytes that it was given, few or many") {
  CHECK(Value().bytes().empty());
  for (const std::string& first : {std::string(), few, many}) {
    Value value(first);
    CHECK(value.bytes() == first);
    CHECK((value.shared() != nullptr) == (first == many));
    for (const std::string& second : {std::string("x"), few, many}) {
      SharedBytes shared = Value::share(second);
      value.set(second, shared);
      CHECK(value.bytes() == second);
    }
  }
}

TEST_CASE("setting a value gives back what others may still use") {
  Value value(many);
  const SharedBytes kept = value.shared();
  SharedBytes shared = Value::share(few);
  CHECK(shared == nullptr);
  value.set(few, shared);
  CHECK(shared == kept);
  CHECK(*kept == many);
}

}  // namespace
