// error: constraint.*PreForkingMixIn
// note: ServerClass

#include <sockserv.hpp>
#include <string>

sockserv::PreForkingMixIn<std::string> server({"127.0.0.1", 0});
