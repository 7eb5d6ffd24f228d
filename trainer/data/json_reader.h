// A JSON file of rows, in the three shapes that people have: an array of objects, {"data": [objects]}, and an object
// whose values are the rows. (JSON Lines under the name .json are known by their second value, and read as such.)
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "trainer/data/row_reader.h"

namespace cadre::data {

// `text` (without byte order mark) outlives the reader. UserError for any other shape.
std::unique_ptr<RowReader> open_json(std::string_view text, const std::string& where);

}  // namespace cadre::data
