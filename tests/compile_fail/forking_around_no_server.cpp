// error: constraint.*ForkingMixIn
// note: ServerClass

#include <sockserv.hpp>
#include <string>

sockserv::ForkingMixIn<std::string> server({"127.0.0.1", 0});
