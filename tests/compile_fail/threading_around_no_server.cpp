// error: constraint.*ThreadingMixIn
// note: ServerClass

#include <sockserv.hpp>

sockserv::ThreadingMixIn<int> server({"127.0.0.1", 0});
