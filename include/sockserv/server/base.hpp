#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <sockserv/address.hpp>
#include <sockserv/connection.hpp>
#include <sockserv/detail/request_scope.hpp>
#include <sockserv/detail/task.hpp>
#include <sockserv/handler.hpp>
#include <sockserv/options.hpp>
#include <sockserv/server/abstract.hpp>
#include <stdexcept>
#include <tuple>
#include <type_traits>
#include <utility>

namespace sockserv::inline abi_0 {

/// The root of the servers that one can name: adds to `AbstractServer` the hooks that see requests.
///
/// For one good request the hooks are called in this order:
///
/// 1. `get_request`, `verify_request`, `process_request`: in the thread that accepts. Under fibers those are the loops;
///    for the backlog of a draining server, and under `handle_request()`, it is the serving thread. No two threads call
///    them at once. They must not wait for the client.
///    If a layer says by `begin_preparation` what the client has to send first, that is awaited between the last two.
/// 2. `prepare_request`: in the thread or process, or on the fiber, that will run the handler. It may wait for the
///    client, for as long as `ServerOptions::prepare_timeout` says.
/// 3. `finish_request`, which constructs the handler and calls its `setup`, `handle` and `finish`: in the same place.
/// 4. `shutdown_request`, `close_request`: in the same place. They must not wait for the client.
///
/// Without a mixin, all of them are called in the serving thread, and `service_actions` after them. A rejected request
/// is given to `request_rejected` and `shutdown_request` in the thread that accepts. What a hook throws goes to
/// `handle_error`, and the request is closed.
///
/// @par Mixins and layers of your own
/// Both are class templates that derive from their `Server` and override hooks; each override that extends a hook calls
/// `Server`'s. A mixin overrides `process_request`: it moves the request away, and where it runs requests it calls
/// `serve_request`, which does all that is left and throws nothing. `server_close` and the destructor must wait for
/// what it runs, because it uses the server. A layer overrides `prepare_request`. Either may also override
/// `check_settings`, and its destructor begins with `begin_destruction(typeid(TheClass))`.
///
/// `Handler` derives from `StreamRequestHandler`, `DatagramRequestHandler` or `BaseRequestHandler`.
template <class Handler>
class BaseServer : public AbstractServer {
 public:
  using RequestHandlerClass = Handler;
  using request_type = detail::request_of<Handler>;

  /// Gives handlers state: from now on each is constructed as `Handler(arguments…)`.
  ///
  ///     struct Count : sockserv::StreamRequestHandler {
  ///       explicit Count(Database& database) : database(database) {}
  ///       …
  ///     };
  ///     sockserv::ThreadingTCPServer<Count> server({"127.0.0.1", 9000});
  ///     server.construct_handlers_with(database);
  ///
  /// Each handler gets an lvalue as a reference to that object. The server keeps an rvalue, and passes it as a
  /// reference to const. Handlers live on the stack of the thread or fiber that runs them, so a request costs no
  /// allocation.
  ///
  /// Call it before serving. A second call replaces the first. If the handler has no default constructor, the server
  /// refuses to serve without this call or a `handler_factory`. With both, every server refuses to serve.
  ///
  /// @par Lifetime
  /// An object that is passed as an lvalue must outlive the requests, so declare it before the server: nothing checks
  /// that. A derived server may pass its own members; then its destructor calls `server_close()`.
  ///
  /// @par Thread safety
  /// Handlers that run at the same time share the arguments, and protect them where they change. A handler in a child
  /// process (`ForkingMixIn`, `PreForkingMixIn`) gets a reference to that process's copy: what it changes there is seen
  /// neither by the parent nor by other children.
  template <class... Arguments>
  void construct_handlers_with(Arguments&&... arguments) {
    // A const element of a tuple is const, unless it is a reference.
    constexpr bool has_constructor = std::is_constructible_v<Handler, const Arguments&...>;
    static_assert(has_constructor,
                  "construct_handlers_with: the handler has no constructor that takes these arguments (lvalues are "
                  "passed as references, rvalues as references to const)");
    if constexpr (has_constructor) {
      using Kept = const std::tuple<Arguments...>;
      construct_and_run_ = [kept = std::make_shared<Kept>(std::forward<Arguments>(arguments)...)](auto& scope) {
        std::apply([&](auto&... each) { construct_and_run(scope, each...); }, *kept);
      };
    }
  }

  /// Makes the handler of each request, where `construct_handlers_with()` is not enough: one of several classes, say.
  /// Empty: the server constructs handlers itself. Called where the handler runs, so it must be thread-safe under
  /// mixins that use threads.
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
    prepare(request, client_address);
    finish_request(request, address_of(request, client_address));
    shutdown_request(request);
  }

  /// For layers whose clients have to send something before `prepare_request()` has anything to do: called in the
  /// thread that accepts, which must not wait. Returns what the client has to send, and what the layer keeps until
  /// `prepare_request()` gets it by `take_awaited_input()`. An override may also send the client something short, such
  /// as a challenge. It calls its `Server`'s first, and returns what that returns if there is anything. Around another
  /// layer (`acts_before<Server>`) it begins nothing, because that one is nearer to the wire.
  ///
  /// Until the client has sent it, the connection takes no thread, process or worker, but counts for the limits. Its
  /// time ends by `AwaitedInput::deadline()` and the limits of `ServerOptions`; once it has sent enough, no time runs
  /// until `prepare_request()`, where `prepare_timeout` begins anew. At most half of `max_connections` may wait, and at
  /// least one, or without that limit half of the descriptors that the process may open. Beyond that, a new client ends
  /// the time of the one whose time would end first, once that has waited for 50 ms. A server that serves one request
  /// at a time does not look at them while a handler runs.
  ///
  /// Not called under fibers, where a request that waits takes nothing from others, nor by `handle_request()`: there
  /// `prepare_request()` waits. Null, as by default: the client need not send anything.
  virtual std::unique_ptr<AwaitedInput> begin_preparation(request_type&) { return nullptr; }

  /// The place for layers: called before the handler is constructed, where it will run. An override may read from the
  /// connection what comes before the handler's first byte, replace `client_address` for all that follows, or refuse
  /// the request by throwing: that goes to `handle_error()`, and the request is closed without a handler. It calls its
  /// `Server`'s first, so that the innermost layer is nearest to the wire.
  ///
  /// All that the connection waits for here, together, may take `ServerOptions::prepare_timeout`; then the connection
  /// is aborted (`limit_error`). Does nothing by default.
  virtual void prepare_request(request_type&, Address& /*client_address*/) {}

  /// Constructs the handler and runs it. An override that constructs handlers itself, of a class without a default
  /// constructor, needs `construct_handlers_with()` or a `handler_factory` too, for the check at the start.
  virtual void finish_request(request_type& request, const Address& client_address);

  /// Ends a request: for a connection, ends the sending direction, and then calls `close_request()`. A connection that
  /// has to linger (`ServerOptions::linger_timeout`) is taken away before that: `close_request()` gets one that is
  /// closed.
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
    if (construct_and_run_ && handler_factory) detail::throw_two_ways_to_construct(typeid(Handler));
    if (!std::is_default_constructible_v<Handler> && !construct_and_run_ && !handler_factory) {
      detail::throw_no_factory(typeid(Handler));
    }
    AbstractServer::check_settings();
  }

  /// Serves a request in the thread or process, or on the fiber, that calls: `prepare_request`, `finish_request`,
  /// `handle_error` if one of them throws, and in any case `shutdown_request`. Returns true if none threw. Throws
  /// nothing but a request to end the thread.
  bool serve_request(request_type& request, const Address& client_address);

  /// Has the layers prepare a request that they have not prepared yet. `serve_request` calls it, and so does
  /// `finish_request`, for mixins that call that directly. A layer without which no handler may run also calls it in an
  /// override of `finish_request`: then no override within can leave the layer out.
  void prepare(request_type& request, const Address& client_address);

  /// Rejects a request: counts it, calls `request_rejected()`, and shuts it down.
  void reject(request_type& request, const Address& client_address, Rejection reason) {
    if constexpr (std::is_same_v<request_type, Connection>) {
      // It does not count for its address, so it must not stay.
      if (reason == Rejection::per_address) request.may_linger_ = false;
    }
    request.admission_.withdraw();
    this->count_rejected(reason, client_address);
    request_rejected(request, client_address, reason);
    shutdown_request(request);
  }

  /// Gives the request to the runner, which calls `serve(request, client_address)` where it runs requests, and passes
  /// what that throws to `handle_error()`. Returns false if the runner has not taken the request, because it has no
  /// room or because a child process serves a copy; then, and if this throws, the request is still the caller's.
  template <class Serve>
  bool run_request(request_type& request, const Address& client_address, Serve serve);

  /// True if `Server` does something in `prepare_request()`.
  template <class Server>
  static constexpr bool acts_before =
      !std::is_same_v<decltype(&Server::prepare_request), decltype(&BaseServer::prepare_request)>;

  /// Returns what a layer's `begin_preparation()` returned for this request, if it is of that class and nobody has
  /// taken it yet; otherwise null.
  template <class Input>
  static std::unique_ptr<Input> take_awaited_input(request_type& request) noexcept {
    auto* const input = dynamic_cast<Input*>(request.awaited_input_.get());
    if (input) static_cast<void>(request.awaited_input_.release());
    return std::unique_ptr<Input>(input);
  }

  bool handle_request_noblock() final;
  void serve_awaited(Connection& request, const Address& client_address, const std::exception_ptr& error) final;
  void end_awaited(Connection& request) noexcept final;

  /// `shutdown_request`, whose errors are logged.
  void end_request(request_type& request) noexcept;

 private:
  template <class Serve>
  class BaseServerTask;

  static constexpr bool serves_connections = std::is_same_v<request_type, Connection>;

  bool await_client(request_type& request, const Address& client_address);
  template <class Step>
  void go_on_with(request_type& request, const Address& client_address, const Step& step);

  /// The address that a layer gave the request, or else the one where it came from.
  static const Address& address_of(const request_type& request, const Address& client_address) noexcept {
    // NOLINTNEXTLINE(bugprone-return-const-ref-from-parameter): no caller passes a temporary
    return request.client_address_ ? *request.client_address_ : client_address;
  }

  template <class... Arguments>
  static void construct_and_run(detail::RequestScope& scope, Arguments&... arguments) {
    Handler handler(arguments...);
    scope.handler_is_bound();
    handler.run();
  }

  std::function<void(detail::RequestScope&)> construct_and_run_;  // with arguments; empty: there are none
};

/// A request that the runner takes along.
template <class Handler>
template <class Serve>
class BaseServer<Handler>::BaseServerTask final : public detail::Task {
 public:
  BaseServerTask(BaseServer& server, request_type& request, const Address& client_address, Serve serve)
      : server_(server), request_(std::move(request)), client_address_(client_address), serve_(std::move(serve)) {}

  void use_transport(detail::Transport& transport) noexcept override { request_.use_transport(transport); }
  bool run() override {
    // The override of a hook may throw; the program must not end for it, nor the request stay open.
    bool succeeded = false;
    const auto error = detail::error_of([&] { succeeded = serve_(request_, client_address_); });
    if (error) server_.report_error(address_of(request_, client_address_), error);
    return succeeded;
  }
  void fail(const std::exception_ptr& error) noexcept override {
    server_.report_error(client_address_, error);
    server_.end_request(request_);
  }
  const Address& client_address() const noexcept override { return client_address_; }
  detail::Admission take_admission() noexcept override { return std::move(request_.admission_); }

  /// For the case that the runner has not taken it.
  request_type& request() noexcept { return request_; }

 private:
  BaseServer& server_;
  request_type request_;
  Address client_address_;
  [[no_unique_address]] Serve serve_;
};

template <class Handler>
template <class Serve>
bool BaseServer<Handler>::run_request(request_type& request, const Address& client_address, Serve serve) {
  std::unique_ptr<detail::Task> task =
      std::make_unique<BaseServerTask<Serve>>(*this, request, client_address, std::move(serve));
  const auto take_back = [&] { request = std::move(static_cast<BaseServerTask<Serve>&>(*task).request()); };
  try {
    this->runner().run(task);
  } catch (...) {
    take_back();
    throw;
  }
  if (!task) return true;
  take_back();
  return false;
}

template <class Handler>
void BaseServer<Handler>::prepare(request_type& request, const Address& client_address) {
  if (request.is_prepared_) return;
  detail::RequestScope scope(request, client_address, *this, live_requests());
  scope.handler_is_bound();  // that comes later
  Address address = client_address;
  const auto error = detail::error_of([&] {
    const typename request_type::PreparationLimits limits(request, options());
    prepare_request(request, address);
  });
  if (address == client_address) {
    if (error) std::rethrow_exception(error);
  } else {
    // Kept even if a layer refused the request, because the error names the client that earlier layers found.
    const auto without_memory = detail::error_of([&] { request.replace_client_address(client_address, address); });
    if (error || without_memory) std::rethrow_exception(error ? error : without_memory);
  }
  request.is_prepared_ = true;
}

template <class Handler>
void BaseServer<Handler>::finish_request(request_type& request, const Address& client_address) {
  // A mixin that calls this instead of `serve_request` must not bypass the layers.
  const bool was_prepared = request.is_prepared_;
  prepare(request, client_address);
  const Address& found = was_prepared ? client_address : address_of(request, client_address);
  detail::RequestScope scope(request, found, *this, live_requests());
  if (handler_factory) {
    const std::unique_ptr<Handler> handler = handler_factory();
    if (!handler) throw std::logic_error("handler_factory returned no handler");
    scope.handler_is_bound();
    handler->run();
  } else if (construct_and_run_) {
    construct_and_run_(scope);
  } else if constexpr (std::is_default_constructible_v<Handler>) {
    construct_and_run(scope);
  } else {
    detail::throw_no_factory(typeid(Handler));
  }
}

template <class Handler>
bool BaseServer<Handler>::handle_request_noblock() {
  std::exception_ptr failure;
  // Returned into its place, to save moving the request.
  auto next = [&]() -> std::optional<std::pair<request_type, Address>> {
    try {
      return get_request();
    } catch (...) {
      failure = detail::caught_error();
      return std::nullopt;
    }
  }();
  if (failure) return accept_failed(failure);
  if (!next) return false;
  accept_succeeded();
  request_type& request = next->first;
  const Address& client_address = next->second;
  request.enter(live_requests(), counters(), options());
  go_on_with(request, client_address, [&] {
    auto admission = admit(client_address, serves_connections);
    if (!admission) return reject(request, client_address, Rejection::per_address);
    request.admission_ = *std::move(admission);
    if (!verify_request(request, client_address)) return reject(request, client_address, Rejection::unverified);
    if (!await_client(request, client_address)) process_request(request, client_address);
  });
  return true;
}

/// Does what is next for a request in the thread that accepts.
template <class Handler>
template <class Step>
void BaseServer<Handler>::go_on_with(request_type& request, const Address& client_address, const Step& step) {
  try {
    const auto error = detail::error_of(step);
    if (!error) return;
    report_error(address_of(request, client_address), error);
  } catch (...) {  // the thread is being ended
    end_request(request);
    throw;
  }
  end_request(request);
}

/// Returns true if the request goes on by `serve_awaited()` or `end_awaited()`.
template <class Handler>
bool BaseServer<Handler>::await_client(request_type& request, const Address& client_address) {
  if constexpr (serves_connections) {
    // What comes through a wrapper cannot be looked at from here.
    if (!this->awaits_clients() || request.wrapper_) return false;
    std::unique_ptr<AwaitedInput> input = begin_preparation(request);
    if (!input) return false;
    request.await_input(std::move(input), options());
    return AbstractServer::await_client(request, client_address);
  } else {
    return false;
  }
}

template <class Handler>
void BaseServer<Handler>::serve_awaited(Connection& request, const Address& client_address,
                                        const std::exception_ptr& error) {
  if constexpr (serves_connections) {
    go_on_with(request, client_address, [&] {
      if (error) std::rethrow_exception(error);
      process_request(request, client_address);
    });
  }
}

template <class Handler>
void BaseServer<Handler>::end_awaited(Connection& request) noexcept {
  if constexpr (serves_connections) end_request(request);
}

template <class Handler>
bool BaseServer<Handler>::serve_request(request_type& request, const Address& client_address) {
  std::exception_ptr error;
  try {
    error = detail::error_of([&] {
      prepare(request, client_address);
      finish_request(request, address_of(request, client_address));
    });
    if (error) report_error(address_of(request, client_address), error);
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
  request.admission_.end();  // if it is still there: a connection's ends when that is closed
}

}  // namespace sockserv::inline abi_0
