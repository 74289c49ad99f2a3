#include "handler.hpp"

#include <cstddef>

namespace kv {
namespace {

/// Replies are sent when so many bytes have come together, though there be more requests to answer.
constexpr std::size_t most_replies = 65536;

}  // namespace

// Requests are parsed where they are, in rfile's buffer, and all that are there are answered at once.
void Handler::handle() {
  std::size_t begun = 0;  // bytes of a request that is not complete
  while (!session_.ended) {
    if (begun == 0 && !wait_for_next_request()) return;
    const std::string_view bytes = rfile.peek(begun + 1);
    if (bytes.size() == begun) return;  // the client sends no more
    std::string_view rest = bytes;
    answer_all(rest);
    send_replies();
    rfile.skip(bytes.size() - rest.size());
    begun = rest.size();
  }
}

/// Answers the requests that `bytes` begin with, and takes them off the front.
void Handler::answer_all(std::string_view& bytes) {
  std::size_t answered = 0;
  try {
    while (const auto arguments = parser_.parse(bytes)) {
      execute(session_, *arguments, replies_);
      ++answered;
      if (session_.ended) break;
      if (replies_.size() >= most_replies) send_replies();
    }
  } catch (const ProtocolError& error) {
    replies_.error(std::string("ERR ") + error.what());
    session_.ended = true;
  }
  session_.shared.requests.fetch_add(answered, std::memory_order_relaxed);
}

void Handler::send_replies() {
  while (!replies_.empty()) replies_.remove_prefix(request.write_some(replies_.buffers()));
}

}  // namespace kv
