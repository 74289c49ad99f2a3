#include <kv_server/glob.hpp>  // first, to test that it is self-contained

#include <doctest/doctest.h>

#include <string>

namespace {

using kv::glob_matches;

TEST_CASE("an ordinary character stands for itself, and the whole text must match") {
  CHECK(glob_matches("abc", "abc"));
  CHECK_FALSE(glob_matches("abc", "abcd"));
  CHECK_FALSE(glob_matches("abc", "ab"));
  CHECK_FALSE(glob_matches("abc", "ABC"));
  CHECK(glob_matches("", ""));
  CHECK_FALSE(glob_matches("", "a"));
  CHECK_FALSE(glob_matches("a", ""));
}

TEST_CASE("a question mark stands for any one character") {
  CHECK(glob_matches("h?llo", "hello"));
  CHECK(glob_matches("h?llo", "h\xffllo"));
  CHECK_FALSE(glob_matches("h?llo", "hllo"));
  CHECK_FALSE(glob_matches("?", ""));
}

TEST_CASE("a star stands for any text") {
  CHECK(glob_matches("*", ""));
  CHECK(glob_matches("*", "anything"));
  CHECK(glob_matches("**a**", "a"));
  CHECK(glob_matches("h*llo", "hllo"));
  CHECK(glob_matches("h*llo", "heeeello"));
  CHECK(glob_matches("*ab*ab*c", "ababxabababc"));
  CHECK_FALSE(glob_matches("*ab*ab*c", "abxc"));
  CHECK_FALSE(glob_matches("a*", "ba"));
}

TEST_CASE("brackets stand for one of the characters between them") {
  CHECK(glob_matches("h[ae]llo", "hello"));
  CHECK_FALSE(glob_matches("h[ae]llo", "hillo"));
  CHECK(glob_matches("h[^e]llo", "hallo"));
  CHECK_FALSE(glob_matches("h[^e]llo", "hello"));
  CHECK(glob_matches("h[a-c]llo", "hbllo"));
  CHECK(glob_matches("h[c-a]llo", "hbllo"));
  CHECK_FALSE(glob_matches("h[a-c]llo", "hdllo"));
  CHECK(glob_matches("[a-cx-z]", "y"));
  CHECK_FALSE(glob_matches("[]", "a"));
  CHECK(glob_matches("[^]", "a"));
  CHECK_FALSE(glob_matches("[]", ""));
  CHECK(glob_matches("[\\]]", "]"));
  CHECK(glob_matches("[a\\-z]", "-"));
  CHECK_FALSE(glob_matches("[a\\-z]", "b"));
}

TEST_CASE("brackets that are not closed go to the end of the pattern") {
  CHECK(glob_matches("[abc", "b"));
  CHECK_FALSE(glob_matches("[abc", "d"));
  CHECK(glob_matches("[a-", "-"));
  CHECK(glob_matches("[a-]", "^"));  // a range from a to the bracket
  CHECK_FALSE(glob_matches("[", "a"));
  CHECK(glob_matches("[^", "a"));
  CHECK(glob_matches("[\\", "\\"));
}

TEST_CASE("a backslash makes the next character an ordinary one") {
  CHECK(glob_matches("\\*", "*"));
  CHECK_FALSE(glob_matches("\\*", "a"));
  CHECK(glob_matches("\\a", "a"));
  CHECK(glob_matches("a\\", "a\\"));
}

TEST_CASE("no pattern takes long") {
  std::string pattern;
  for (int i = 0; i < 1000; ++i) pattern += "a*";
  CHECK_FALSE(glob_matches(pattern + "b", std::string(100'000, 'a')));
}

}  // namespace
