#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <sockserv/address.hpp>
#include <sockserv/connection.hpp>
#include <sockserv/detail/request_scope.hpp>
#include <sockserv/handler.hpp>
#include <sockserv/options.hpp>
#include <sockserv/server/abstract.hpp>
#include <stdexcept>
#include <type_traits>
#include <utility>

namespace sockserv {

/// The root of the servers that one can name: adds to `AbstractServer` the hooks that see requests.
///
/// For one good request the hooks are called in this order: `get_request`, `verify_request`, `process_request`,
/// `finish_request` (which constructs the handler and calls its `setup`, `handle`, `finish`), `shutdown_request`,
/// `close_request`, `service_actions`. A mixin moves the part from `finish_request` to `close_request` elsewhere.
///
/// `Handler` derives from `StreamRequestHandler`, `DatagramRequestHandler` or `BaseRequestHandler`.
template <class Handler>
class BaseServer : public AbstractServer {
 public:
  using RequestHandlerClass = Handler;
  using request_type = detail::request_of<Handler>;

  /// Makes the handler of each request. Empty: its default constructor does; a server whose handler has none refuses to
  /// serve then. Called where the handler runs, so it must be thread-safe under mixins that use threads.
  std::function<std::unique_ptr<Handler>()> handler_factory;

  /// The next request and where it came from; nothing if there is none after all. May be overridden, to wrap what the
  /// base gives. An error is logged, and serving goes on.
  virtual std::optional<std::pair<request_type, Address>> get_request() = 0;

  /// False refuses the request: it is rejected without a handler.
  virtual bool verify_request(request_type&, const Address&) { return true; }

  /// Called for a request that is being rejected, for whatever reason, before it is shut down: may tell the client why.
  /// It runs in the thread that accepts, so it must not wait. Does nothing by default.
  virtual void request_rejected(request_type&, const Address&, Rejection) {}

  /// Has the request served: here and now, unless a mixin does otherwise. An override that keeps the request for
  /// later moves it away.
  virtual void process_request(request_type& request, const Address& client_address) {
    finish_request(request, client_address);
    shutdown_request(request);
  }

  /// Constructs the handler and runs it. An override that constructs handlers itself, of a class without a default
  /// constructor, needs a `handler_factory` too, for the check at the start.
  virtual void finish_request(request_type& request, const Address& client_address);

  /// Ends a request: for a connection, ends the sending direction and then calls `close_request()`.
  virtual void shutdown_request(request_type& request) { close_request(request); }

  /// Lets go of a request: closes a connection.
  virtual void close_request(request_type&) {}

 protected:
  explicit BaseServer(ServerOptions options) : AbstractServer(std::move(options)) {
    // Not in the class itself: Clang would then complain about all that derives from it, too.
    static_assert(detail::is_handler<Handler>,
                  "a server's handler derives from StreamRequestHandler, DatagramRequestHandler or "
                  "BaseRequestHandler");
    static_assert(!std::is_abstract_v<Handler>, "a request handler overrides handle()");
  }

  void check_settings() const override {
    if (!std::is_default_constructible_v<Handler> && !handler_factory) detail::throw_no_factory(typeid(Handler));
    AbstractServer::check_settings();
  }

  /// What mixins run elsewhere: `finish_request`, errors to `handle_error`, and in any case `shutdown_request`.
  /// Returns whether all went well.
  bool serve_request(request_type& request, const Address& client_address);

  /// Rejects a request: counts it, calls `request_rejected()`, and shuts it down.
  void reject(request_type& request, const Address& client_address, Rejection reason) {
    request.admission_.withdraw();
    this->count_rejected(reason, client_address);
    request_rejected(request, client_address, reason);
    shutdown_request(request);
  }

  /// For a mixin that has the request served by another process, to be kept until that has ended.
  static detail::Admission take_admission(request_type& request) noexcept { return std::move(request.admission_); }

  bool handle_request_noblock() final;

  /// `shutdown_request`, whose errors are logged.
  void end_request(request_type& request) noexcept;
  /// Has the request use that transport from now on.
  static void use_transport(request_type& request, detail::Transport& transport) noexcept {
    request.use_transport(transport);
  }
};

template <class Handler>
void BaseServer<Handler>::finish_request(request_type& request, const Address& client_address) {
  detail::RequestScope scope(request, client_address, *this);
  if (handler_factory) {
    const std::unique_ptr<Handler> handler = handler_factory();
    if (!handler) throw std::logic_error("handler_factory returned no handler");
    scope.handler_is_bound();
    handler->run();
  } else if constexpr (std::is_default_constructible_v<Handler>) {
    Handler handler;
    scope.handler_is_bound();
    handler.run();
  } else {
    detail::throw_no_factory(typeid(Handler));
  }
}

template <class Handler>
bool BaseServer<Handler>::handle_request_noblock() {
  std::optional<std::pair<request_type, Address>> next;
  if (const auto error = detail::error_of([&] { next = get_request(); })) {
    return accept_failed(error);
  }
  if (!next) return false;
  accept_succeeded();
  request_type& request = next->first;
  const Address& client_address = next->second;
  request.enter(live_requests(), counters(), options());
  try {
    const auto error = detail::error_of([&] {
      auto admission = admit(client_address, std::is_same_v<request_type, Connection>);
      if (!admission) return reject(request, client_address, Rejection::per_address);
      request.admission_ = *std::move(admission);
      if (!verify_request(request, client_address)) return reject(request, client_address, Rejection::unverified);
      process_request(request, client_address);
    });
    if (!error) return true;
    report_error(client_address, error);
  } catch (...) {  // the thread is being ended
    end_request(request);
    throw;
  }
  end_request(request);
  return true;
}

template <class Handler>
bool BaseServer<Handler>::serve_request(request_type& request, const Address& client_address) {
  std::exception_ptr error;
  try {
    error = detail::error_of([&] { finish_request(request, client_address); });
    if (error) report_error(client_address, error);
  } catch (...) {  // the thread is being ended
    end_request(request);
    throw;
  }
  end_request(request);
  return !error;
}

template <class Handler>
void BaseServer<Handler>::end_request(request_type& request) noexcept {
  if (const auto error = detail::error_of([&] { shutdown_request(request); })) {
    log(LogLevel::error, [&] { return "shutdown_request failed: " + detail::describe(error); });
  }
}

}  // namespace sockserv
