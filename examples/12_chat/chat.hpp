#pragma once

/// What the members of a chat share: who is in which room, and what each has still to be sent.
///
/// A member's handler waits for what its client says, and meanwhile cannot wait for that client to take what the others
/// say; nor should the others wait for it. So whoever has a line for a member sends what the socket takes without
/// waiting (MSG_DONTWAIT). What it does not take goes to the member's queue, and one thread, the writer, waits with
/// poll(2) for all the sockets that are full, and empties the queues.
///
/// Why that is right:
///
/// - One lock guards rooms and queues, so all see the lines of a room in one order. Nobody waits for the network while
///   holding it; so it may be a std::mutex even on fibers, where a wait under such a lock could block the thread of the
///   fiber that holds it.
/// - A queue is bounded. Who lets it overflow is dropped, and the others never notice. The socket's own buffer is
///   bounded too (SO_SNDBUF), since Linux would let it grow to megabytes for each member.
/// - Dropping a member shuts its socket down for receiving, so that its handler finds the end of the stream and leaves
///   like any other. Once it has left, the writer knows it no more; then the handler sends the rest itself, for as long
///   as it likes, since that holds up nobody.
/// - The names in a room may be more than a queue holds. So they go out in lines, and a line of them enters the queue
/// only
///   when the queue is empty: a member is not dropped for asking, and a member that does not read costs no
///   memory for it.
/// - A member's socket stays open while it is in a room, for its handler closes it only after `leave`. (The writer may
///   wait for a number that has become another socket's since; then it is woken for nothing.)
///
/// The handlers must run in one process: in threads or on fibers.

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <sockserv.hpp>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace chat {

/// The longest line, in bytes.
inline constexpr std::size_t longest_line = 4096;
/// The most that a member's queue holds, in bytes, and the size of its socket's buffer.
inline constexpr std::size_t queue_limit = 65536;

/// One client; its handler has it. All but `request` is the chat's, and guarded by its lock.
struct Member {
  /// The names in a room that this member has asked for, as far as they have not been put into its queue.
  struct Listing {
    std::string room;
    std::uint64_t next = 0;  ///< The first entry of the room that has not been named yet.
  };

  explicit Member(sockserv::Connection& connection) : request(connection) {}

  sockserv::Connection& request;
  std::string nick;
  std::string room;
  std::uint64_t entry = 0;  ///< Members who entered a room earlier have lower numbers.
  std::string queue;        ///< What it has still to be sent.
  std::optional<Listing> listing;
  bool dropped = false;  ///< It has read too slowly.
};

class Chat {
 public:
  Chat();
  Chat(const Chat&) = delete;
  Chat& operator=(const Chat&) = delete;
  /// Nobody may be a member any more.
  ~Chat();

  /// Lets a member in, to the lobby, under a name that is free.
  void join(Member& member);
  /// Does what a line says: a command, or else something to be said to the room. False if the member should leave.
  bool handle_command(Member& member, std::string_view line);
  /// Takes a member out. Returns what it has not been sent, which nobody else will send.
  std::string leave(Member& member);
  /// Has all members leave, also those who come later.
  void close() noexcept;

 private:
  using Room = std::vector<Member*>;

  void enter(Member& member, const std::string& room);
  void exit(Member& member);
  void remove(Member& member) noexcept;
  void command_from(Member& member, const std::string& command, const std::string& argument);
  void rename(Member& member, const std::string& nick);
  bool is_taken(const std::string& nick) const;
  void list_names(Member& member);
  std::string next_names(Member::Listing& listing) const;
  bool put_names(Member& member) const noexcept;
  bool send_some(Member& member) const noexcept;
  void deliver(Member& member);
  void notify(Member& member, const std::string& line);
  void notify_others(const Member& member, const std::string& line);
  void wake_writer() noexcept;
  void write();

  std::mutex mutex_;  // guards what follows
  std::map<std::string, Room> rooms_;
  Room unsent_;  // those who have something in their queues
  std::size_t guests_ = 0;
  std::uint64_t entries_ = 0;  // into rooms
  bool closed_ = false;
  bool ending_ = false;

  const sockserv::detail::Descriptor wake_;  // an eventfd
  std::thread writer_;
};

}  // namespace chat
