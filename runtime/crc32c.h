// CRC-32C (Castagnoli; RFC 3720, appendix B.4): tells a torn or flipped record from a whole one.
#pragma once

#include <cstdint>
#include <string_view>

namespace cadre::runtime {

std::uint32_t crc32c(std::string_view bytes);

}  // namespace cadre::runtime
