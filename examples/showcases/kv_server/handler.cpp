#include "handler.hpp"

#include <sockserv/error.hpp>

namespace kv {
namespace {

/// Replies are sent once this many bytes are ready, even if more requests wait for an answer.
constexpr std::size_t enough_replies = 65536;

}  // namespace

// Requests are parsed where they are, in rfile's buffer, and all that are there are answered at once.
void Handler::handle() {
  send_at_ = enough_replies;
  std::size_t begun = 0;  // bytes of a request that is not complete
  while (!session_.ended) {
    if (begun == 0 && replies_.empty() && !wait_for_next_request()) return;
    const std::string_view bytes = rfile.peek(begun + 1);
    if (bytes.size() == begun) break;  // the client sends no more
    if (!may_answer()) wait_for_reader();
    std::string_view rest = bytes;
    answer_all(rest);
    send_replies();
    rfile.skip(bytes.size() - rest.size());
    begun = rest.size();
  }
  send_the_rest();
}

/// Answers the requests that `bytes` begin with, and takes them off the front.
void Handler::answer_all(std::string_view& bytes) {
  std::size_t answered = 0;
  try {
    while (!session_.ended) {
      const auto arguments = parser_.parse(bytes);
      if (!arguments) break;
      execute(session_, *arguments, replies_);
      ++answered;
      if (replies_.size() < send_at_) continue;
      send_replies();
      if (!bytes.empty() && !may_answer()) wait_for_reader();
    }
  } catch (const ProtocolError& error) {
    replies_.error(std::string("ERR ") + error.what());
    session_.ended = true;
  }
  session_.shared.requests.fetch_add(answered, std::memory_order_relaxed);
}

/// Sends replies as far as the client takes them. A client may send all its requests before it reads a reply: while it
/// sends, replies are kept, up to a limit.
void Handler::send_replies() {
  while (!replies_.empty()) {
    const std::size_t sent = request.send_unless_input(replies_.buffers());
    if (sent == 0) break;
    replies_.remove_prefix(sent);
  }
  send_at_ = replies_.size() + enough_replies;
}

/// False if the client has to read some of its replies before there are more.
bool Handler::may_answer() const noexcept { return replies_.size() <= session_.shared.answer_limits.unread; }

/// Waits until the client has read some of its replies, or closes the connection: both sides may be waiting for each
/// other to read.
void Handler::wait_for_reader() {
  const AnswerLimits& limits = session_.shared.answer_limits;
  request.settimeout(limits.patience);
  while (replies_.size() > limits.unread / 2) {
    sockserv::error_code error;
    replies_.remove_prefix(request.write_some(replies_.buffers(), error));
    if (error == sockserv::errc::timed_out) return give_up();
    sockserv::detail::check(error, "kv_server");
  }
  request.settimeout(timeout);
  send_at_ = replies_.size() + enough_replies;
}

/// Closes the connection of a client that reads nothing.
void Handler::give_up() {
  const AnswerLimits& limits = session_.shared.answer_limits;
  session_.server.log(sockserv::LogLevel::warning,
                      "closed the connection of " + client_address.to_string() +
                          ": it has sent requests and read none of their answers for " +
                          std::to_string(limits.patience.count()) + " ms, while " + std::to_string(replies_.size()) +
                          " bytes of them wait; --max-unread allows " + std::to_string(limits.unread));
  session_.ended = true;
  replies_.clear();
  request.close();  // here, or it would linger until the client has sent all
}

/// Sends all replies. What the client still sends is dropped: it may read only when it has sent everything.
void Handler::send_the_rest() {
  bool may_send_more = true;
  while (!replies_.empty()) {
    const std::size_t sent =
        may_send_more ? request.send_unless_input(replies_.buffers()) : request.write_some(replies_.buffers());
    replies_.remove_prefix(sent);
    if (sent > 0) continue;
    rfile.skip(rfile.peek(0).size());
    may_send_more = !rfile.peek().empty();
  }
}

}  // namespace kv
