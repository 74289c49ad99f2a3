#pragma once

#include <cstddef>
#include <sockserv/handler.hpp>
#include <string_view>
#include <utility>

#include "commands.hpp"

namespace kv {

/// Serves a client of Redis.
class Handler : public sockserv::StreamRequestHandler {
 public:
  explicit Handler(Shared& shared) : session_{shared, server, client_address} { disable_nagle_algorithm = true; }
  void handle() override;

 private:
  void answer_all(std::string_view& bytes);
  void send_replies();
  bool may_answer() const noexcept;
  void wait_for_reader();
  void give_up();
  void send_the_rest();

  Session session_;
  RequestParser parser_{session_.shared.limits};
  Reply replies_;
  std::size_t send_at_ = 0;  // how many bytes of replies there are when they are sent, or sent again
};

/// A server of `Handler`, with the store that all its connections share. A mixin goes around it; not one that forks,
/// since each process would have a store of its own.
template <class Base>
class KeyValueServer : public Base, public Shared {
 public:
  explicit KeyValueServer(const sockserv::Address& address, sockserv::ServerOptions options = {})
      : Base(address, std::move(options)) {
    this->construct_handlers_with(*this);
  }
  ~KeyValueServer() override { this->server_close(); }

  void service_actions() override {
    Base::service_actions();
    sweep_at_times();
  }
};

}  // namespace kv
