// Text of unknown origin on its way to a terminal or into JSON. Messages quote rows, names and paths as they were
// found; nothing in them may move a cursor, begin a second line or make a record that cannot be read again.
#pragma once

#include <string>
#include <string_view>

namespace cadre::runtime {

// Valid UTF-8: every byte that belongs to no well-formed character becomes U+FFFD.
std::string valid_utf8(std::string_view text);

// One printable line of valid UTF-8: line ends and tabs become a space; other control characters (C1 too) and bytes
// that are no UTF-8 become \xNN.
std::string plain_line(std::string_view text);

}  // namespace cadre::runtime
