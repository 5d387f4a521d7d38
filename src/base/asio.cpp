// The only translation unit that compiles Boost.Asio and Boost.Beast; see BOOST_ASIO_SEPARATE_COMPILATION.
#include <boost/asio/impl/src.hpp>
#include <boost/beast/src.hpp>
