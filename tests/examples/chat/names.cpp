#include <12_chat/chat.hpp>  // first, to test that it is self-contained

#include <doctest/doctest.h>
#include <sys/socket.h>

#include <array>
#include <deque>
#include <set>
#include <sockserv.hpp>
#include <string>
#include <vector>

namespace {

/// A member and its client, which reads when it likes.
struct Client {
  explicit Client(chat::Chat& where) : chat(where) {
    std::array<int, 2> pair{};
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()) == 0);
    request = sockserv::Connection(sockserv::detail::Descriptor(pair[0]), {});
    peer = sockserv::Connection(sockserv::detail::Descriptor(pair[1]), {});
    const int small = 1;  // the kernel makes it some KiB
    ::setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    chat.join(member);
    line();
  }
  ~Client() {
    if (!has_left) leave();
  }

  void say(const std::string& text) { REQUIRE(chat.handle_command(member, text + "\n")); }
  std::string line() {
    const auto line = rfile.readline();
    REQUIRE(line);
    return std::string(line->substr(0, line->find('\n')));
  }
  /// What was not sent.
  std::string leave() {
    has_left = true;
    return chat.leave(member);
  }

  chat::Chat& chat;
  sockserv::Connection request{{}, {}};
  sockserv::Connection peer{{}, {}};
  sockserv::OutputFile wfile{peer};
  sockserv::InputFile rfile{peer, wfile};
  chat::Member member{request};
  bool has_left = false;
};

/// A number of members of the room "big", with the longest names there are. Their clients have gone, but they have not
/// left.
struct Crowd {
  Crowd(chat::Chat& where, int count) : chat(where) {
    for (int number = 0; number < count; ++number) {
      chat::Member& member = members.emplace_back(gone);
      chat.join(member);  // into the lobby, which is empty
      std::string name = "member-" + std::to_string(number);
      name.resize(20, '-');
      REQUIRE(chat.handle_command(member, "/nick " + name));
      REQUIRE(chat.handle_command(member, "/join big"));
      member.dropped = number > 0;  // the first will say something; nothing is sent to the others, which takes time
      names.insert(name);
    }
  }
  ~Crowd() {
    for (chat::Member& member : members) chat.leave(member);
  }

  static sockserv::Connection closed_by_peer() {
    std::array<int, 2> pair{};
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()) == 0);
    const sockserv::detail::Descriptor peer(pair[1]);
    return {sockserv::detail::Descriptor(pair[0]), {}};
  }

  chat::Chat& chat;
  sockserv::Connection gone = closed_by_peer();
  std::deque<chat::Member> members;
  std::set<std::string> names;
};

/// Adds the names of a line of an answer to /who.
void add_names(std::string line, const std::string& room, std::multiset<std::string>& names) {
  const std::string prefix = "* in " + room + ": ";
  REQUIRE(line.starts_with(prefix));
  CHECK(line.size() < chat::longest_line);
  line.erase(0, prefix.size());
  for (std::size_t end = 0; end != line.npos;) {
    end = line.find(", ");
    names.insert(line.substr(0, end));
    if (end != line.npos) line.erase(0, end + 2);
  }
}

TEST_CASE("who asks for more names than a queue holds gets them all, however late he reads") {
  chat::Chat chat;
  Crowd crowd(chat, 3000);
  REQUIRE(crowd.names.size() * 22 > chat::queue_limit);
  Client asker(chat);
  asker.say("/join big");
  CHECK(asker.line() == "* you are guest-3001 in big");

  asker.say("/who");
  asker.say("/who");  // which is answered like anything else that is said meanwhile
  REQUIRE(chat.handle_command(crowd.members.front(), "hello"));
  CHECK_FALSE(asker.member.dropped);

  std::multiset<std::string> names;
  std::vector<std::string> others;
  while (names.size() < crowd.names.size() + 1 || others.size() < 2) {
    std::string line = asker.line();
    line.starts_with("* in ") ? add_names(line, "big", names) : others.push_back(line);
  }
  CHECK(names.count("guest-3001") == 1);
  names.erase("guest-3001");
  CHECK(std::set<std::string>(names.begin(), names.end()) == crowd.names);
  CHECK(names.size() == crowd.names.size());  // none of them twice
  CHECK(others == std::vector<std::string>{"* the names that you asked for are still on their way",
                                           crowd.members.front().nick + ": hello"});
  asker.say("/who");  // and the next answer begins anew
  CHECK(asker.line().starts_with("* in big: " + crowd.members.front().nick));
}

TEST_CASE("who leaves before the names that he has asked for were sent gets the rest") {
  chat::Chat chat;
  Crowd crowd(chat, 1000);
  Client asker(chat);
  asker.say("/join big");
  asker.line();
  asker.say("/who");
  const std::string rest = asker.leave();
  CHECK(rest.size() > chat::longest_line);
  asker.request.close();
  const std::string all = asker.rfile.read() + rest;

  std::multiset<std::string> names;
  for (std::size_t begin = 0; begin < all.size();) {
    const std::size_t end = all.find('\n', begin);
    REQUIRE(end != all.npos);
    add_names(all.substr(begin, end - begin), "big", names);
    begin = end + 1;
  }
  crowd.names.insert("guest-1001");
  CHECK(std::set<std::string>(names.begin(), names.end()) == crowd.names);
  CHECK(names.size() == crowd.names.size());
}

}  // namespace
