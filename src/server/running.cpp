/// How a server uses its runner.

#include <sockserv/server/abstract.hpp>

#include <algorithm>
#include <sockserv/detail/request_scope.hpp>

#include "inline_runner.hpp"

namespace sockserv {

/// The server, as its runner sees it.
class AbstractServer::OwnAcceptor final : public detail::Acceptor {
 public:
  explicit OwnAcceptor(AbstractServer& server) : server_(server) {}

  int listener() const noexcept override { return server_.fileno(); }
  bool may_accept() override { return server_.may_accept_now(); }
  bool accept() override {
    const detail::RequestScope scope(server_);
    return server_.handle_request_noblock();
  }

 private:
  AbstractServer& server_;
};

void AbstractServer::use_runner(MakeRunner make) {
  acceptor_ = std::make_unique<OwnAcceptor>(*this);
  make_runner_ = std::move(make);
  own_runner_ = make_runner_();
  runner_ = own_runner_.get();
}

void AbstractServer::end_runner() noexcept {
  own_runner_.reset();  // what still runs uses both pointers
  runner_ = &detail::inline_runner();
  counters_ = &own_counters_;  // they may have been the runner's
}

bool AbstractServer::may_accept() {
  return (options_.max_connections == 0 || live_requests_.has_room(options_.max_connections)) && runner().has_room();
}

/// The registry and the runner count mostly the same requests. The registry alone has those that are being accepted,
/// the runner alone those whose connection was closed and whose handler still runs.
std::size_t AbstractServer::requests_running() const { return std::max(live_requests_.size(), runner().running()); }

bool AbstractServer::wait_for_requests(time_point deadline) {
  return live_requests_.wait_until_none(deadline) && runner().wait_until_idle(deadline);
}

void AbstractServer::wait_for_runner() {
  if (!called_from_within()) runner().wait_until_idle(time_point::max());
}

void AbstractServer::end_idle() noexcept {
  live_requests_.end_idle();
  runner().stop();
}

}  // namespace sockserv
