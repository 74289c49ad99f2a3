#include "chat.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <new>
#include <system_error>

#include "support/printable.hpp"

namespace chat {
namespace {

constexpr std::size_t longest_name = 20;

/// Names of members and rooms.
bool is_name(const std::string& name) {
  return !name.empty() && name.size() <= longest_name && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  });
}

/// Makes the member's handler find the end of the stream.
void stop_receiving(Member& member) noexcept {
  sockserv::error_code ignored;  // if the connection has broken, the handler finds that
  member.request.shutdown(SHUT_RD, ignored);
}

}  // namespace

Chat::Chat() : wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!wake_) throw std::system_error(errno, std::generic_category(), "eventfd");
  writer_ = std::thread([this] { write(); });
}

Chat::~Chat() {
  {
    const std::scoped_lock lock(mutex_);
    ending_ = true;
  }
  wake_writer();
  writer_.join();
}

void Chat::join(Member& member) {
  const std::scoped_lock lock(mutex_);
  do {
    member.nick = "guest-" + std::to_string(++guests_);
  } while (is_taken(member.nick));
  enter(member, "lobby");
  if (closed_) stop_receiving(member);
}

bool Chat::handle_command(Member& member, std::string_view line) {
  while (line.ends_with('\n') || line.ends_with('\r')) line.remove_suffix(1);
  const std::string text = example::printable(line);
  const std::scoped_lock lock(mutex_);
  if (member.dropped || text == "/quit") return false;
  if (text.starts_with('/')) {
    const std::string command = text.substr(0, text.find(' '));
    command_from(member, command, command == text ? "" : text.substr(command.size() + 1));
  } else if (!text.empty()) {
    notify_others(member, member.nick + ": " + text);
  }
  return true;
}

std::string Chat::leave(Member& member) {
  const std::scoped_lock lock(mutex_);
  while (!member.dropped && put_names(member)) continue;
  exit(member);
  std::erase(unsent_, &member);
  std::string rest = std::move(member.queue);
  if (member.dropped) rest += "* you have been dropped, since you read too slowly\n";
  if (closed_) rest += "* the chat is closed\n";
  return rest;
}

void Chat::close() noexcept {
  const std::scoped_lock lock(mutex_);
  closed_ = true;
  for (const auto& [name, room] : rooms_) {
    for (Member* const member : room) stop_receiving(*member);
  }
}

void Chat::enter(Member& member, const std::string& room) {
  rooms_[room].push_back(&member);
  member.room = room;
  member.entry = ++entries_;
  try {
    notify(member, "* you are " + member.nick + " in " + room);
    notify_others(member, "* " + member.nick + " has come");
  } catch (...) {  // no memory: the member's handler is about to end
    remove(member);
    throw;
  }
}

void Chat::exit(Member& member) {
  try {
    notify_others(member,
                  "* " + member.nick + (member.dropped ? " has been dropped, reading too slowly" : " has left"));
  } catch (const std::bad_alloc&) {  // NOLINT(bugprone-empty-catch): those who stay miss a line
  }
  remove(member);
}

void Chat::remove(Member& member) noexcept {
  const auto room = rooms_.find(member.room);
  if (room == rooms_.end()) return;
  std::erase(room->second, &member);
  if (room->second.empty()) rooms_.erase(room);
}

void Chat::command_from(Member& member, const std::string& command, const std::string& argument) {
  if (command == "/nick") {
    rename(member, argument);
  } else if (command == "/who") {
    list_names(member);
  } else if (command != "/join") {
    notify(member, "* there are /nick NAME, /join ROOM, /who and /quit");
  } else if (!is_name(argument)) {
    notify(member, "* a room's name has up to 20 letters, digits, - and _");
  } else if (argument != member.room) {
    exit(member);
    enter(member, argument);
  }
}

void Chat::rename(Member& member, const std::string& nick) {
  if (!is_name(nick)) return notify(member, "* a name has up to 20 letters, digits, - and _");
  if (is_taken(nick)) return notify(member, "* " + nick + " is taken");
  notify_others(member, "* " + member.nick + " is " + nick + " now");
  member.nick = nick;
  notify(member, "* you are " + nick + " in " + member.room);
}

bool Chat::is_taken(const std::string& nick) const {
  return std::any_of(rooms_.begin(), rooms_.end(), [&](const auto& each) {
    return std::any_of(each.second.begin(), each.second.end(),
                       [&](const Member* member) { return member->nick == nick; });
  });
}

// snippet: names
void Chat::list_names(Member& member) {
  if (member.listing) return notify(member, "* the names that you asked for are still on their way");
  member.listing.emplace().room = member.room;
  if (member.queue.empty()) deliver(member);
}

/// Returns the next line of a listing; empty if it is complete.
std::string Chat::next_names(Member::Listing& listing) const {
  const auto room = rooms_.find(listing.room);
  if (room == rooms_.end()) return {};
  std::string line;
  const auto entered_before = [](const Member* member, std::uint64_t entry) { return member->entry < entry; };
  auto each = std::lower_bound(room->second.begin(), room->second.end(), listing.next, entered_before);
  for (; each != room->second.end() && line.size() + longest_name + 3 <= longest_line; ++each) {
    line += (line.empty() ? "* in " + listing.room + ": " : ", ") + (*each)->nick;
    listing.next = (*each)->entry + 1;
  }
  return line;
}
// snippet end

/// Puts the next line of names that a member has asked for into its queue. Returns false if there is none.
bool Chat::put_names(Member& member) const noexcept {
  if (!member.listing) return false;
  try {
    if (const std::string line = next_names(*member.listing); !line.empty()) {
      member.queue += line + '\n';
      return true;
    }
  } catch (const std::bad_alloc&) {
    // The answer ends here: the writer serves other members, too.
  }
  member.listing.reset();
  return false;
}

/// Sends what can be sent without waiting; true if nothing is left.
bool Chat::send_some(Member& member) const noexcept {
  while (!member.queue.empty() || put_names(member)) {
    constexpr int flags = MSG_DONTWAIT | MSG_NOSIGNAL;
    const ssize_t sent = ::send(member.request.fileno(), member.queue.data(), member.queue.size(), flags);
    if (sent >= 0) {
      member.queue.erase(0, static_cast<std::size_t>(sent));
    } else if (errno == EAGAIN) {
      return false;
    } else if (errno != EINTR) {  // the client has gone, as its handler will find
      member.queue.clear();
      member.listing.reset();
    }
  }
  return true;
}

// snippet: tell
/// With the lock held, as all that is private.
void Chat::notify(Member& member, const std::string& line) {
  if (member.dropped) return;
  if (member.queue.size() + line.size() + 1 > queue_limit) {
    member.dropped = true;
    return stop_receiving(member);
  }
  const bool is_first = member.queue.empty();
  member.queue += line + '\n';
  if (is_first) deliver(member);
}

/// Sends what can be sent without waiting, and leaves the rest to the writer.
void Chat::deliver(Member& member) {
  if (send_some(member)) return;
  unsent_.push_back(&member);
  wake_writer();
}
// snippet end

void Chat::notify_others(const Member& member, const std::string& line) {
  for (Member* const other : rooms_[member.room]) {
    if (other != &member) notify(*other, line);
  }
}

void Chat::wake_writer() noexcept { ::eventfd_write(wake_.get(), 1); }

// snippet: writer
void Chat::write() {
  for (;;) {
    std::vector<pollfd> awaited{{wake_.get(), POLLIN, 0}};
    {
      const std::scoped_lock lock(mutex_);
      if (ending_) return;
      std::erase_if(unsent_, [&](Member* member) {
        if (send_some(*member)) return true;
        awaited.push_back({member->request.fileno(), POLLOUT, 0});
        return false;
      });
    }
    ::poll(awaited.data(), awaited.size(), -1);
    eventfd_t ignored = 0;
    ::eventfd_read(wake_.get(), &ignored);  // so that it is not readable until there is something new
  }
}
// snippet end

}  // namespace chat
