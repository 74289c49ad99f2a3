#include "router.hpp"

namespace web {

using http::verb;

void Router::add(verb method, std::string path, Function function) {
  routes_[std::move(path)][method] = std::move(function);
}

const Router::Function* Router::find(verb method, std::string_view path) const {
  const auto route = routes_.find(path);
  if (route == routes_.end()) return nullptr;
  const auto& functions = route->second;
  const auto function = functions.find(method == verb::head ? verb::get : method);
  if (function != functions.end()) return &function->second;
  std::string allowed;
  for (const auto& [each, ignored] : functions) {
    const std::string_view name = http::to_string(each);
    allowed += (allowed.empty() ? "" : ", ") + std::string(name) + (each == verb::get ? ", HEAD" : "");
  }
  throw WrongMethod(allowed);
}

}  // namespace web
