#pragma once

#include <span>
#include <string>

namespace cadre::runtime {

inline constexpr char kHexDigits[] = "0123456789abcdef";

// Two digits a byte.
std::string hex_of(std::span<const unsigned char> bytes);

}  // namespace cadre::runtime
