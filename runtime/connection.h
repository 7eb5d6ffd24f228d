// The number of an authenticated control connection; none is ever used again.
#pragma once

#include <cstdint>

namespace cadre::runtime {

using Connection = std::uint64_t;

}  // namespace cadre::runtime
