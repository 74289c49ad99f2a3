#pragma once

#include <memory>
#include <sockserv/detail/server_class.hpp>
#include <sockserv/detail/thread_group.hpp>
#include <utility>

namespace sockserv::detail {

/// What the mixins that serve in threads have in common: the thread's part of a request.
template <ServerClass Server>
class ThreadedRequests : public Server {
 public:
  using Server::Server;
  using typename Server::request_type;

  /// What a thread does with a request: serves it, hands errors to `handle_error()`, and shuts it down.
  virtual void process_request_thread(request_type& request, const Address& client_address) {
    this->serve_request(request, client_address);
  }

 protected:
  /// Takes the request along, to be served by whichever thread runs the task.
  class ThreadRequestTask final : public ThreadTask {
   public:
    ThreadRequestTask(ThreadedRequests& server, request_type& request, const Address& client_address)
        : server_(server), request_(std::move(request)), client_address_(client_address) {}

    void run() override {
      // An override may throw; the program must not end for it, nor the request stay open.
      const auto error = error_of([this] { server_.process_request_thread(request_, client_address_); });
      if (error) server_.report_error(client_address_, error);
    }

    /// The request, for the case that there is no thread.
    request_type& request() noexcept { return request_; }

   private:
    ThreadedRequests& server_;
    request_type request_;
    Address client_address_;
  };

  /// Calls `hand_over(task)`, which passes the task on, or leaves it and throws; then the request is the caller's
  /// again.
  template <class HandOver>
  void process_elsewhere(request_type& request, const Address& client_address, HandOver&& hand_over) {
    std::unique_ptr<ThreadTask> task = std::make_unique<ThreadRequestTask>(*this, request, client_address);
    try {
      hand_over(task);
    } catch (...) {
      request = std::move(static_cast<ThreadRequestTask&>(*task).request());
      throw;
    }
  }
};

}  // namespace sockserv::detail
