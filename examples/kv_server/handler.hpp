#pragma once

#include <sockserv/handler.hpp>
#include <string_view>

#include "commands.hpp"

namespace kv {

/// Serves a client of Redis. Its server is a `KeyValueServer`.
class Handler : public sockserv::StreamRequestHandler {
 public:
  Handler() { disable_nagle_algorithm = true; }
  void handle() override;

 private:
  void answer_all(std::string_view& bytes);
  void send_replies();

  Session session_{server_as<Shared>(), server, client_address};
  RequestParser parser_{session_.shared.limits};
  Reply replies_;
};

/// A server of `Handler`, with the store that all its connections share. A mixin goes around it; not one that forks,
/// since each process would have a store of its own.
template <class Base>
class KeyValueServer : public Base, public Shared {
 public:
  using Base::Base;
  ~KeyValueServer() override { this->server_close(); }

  void service_actions() override {
    Base::service_actions();
    sweep_at_times();
  }
};

}  // namespace kv
