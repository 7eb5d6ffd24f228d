// The names in \p{…}.
#pragma once

#include <string_view>

#include "trainer/tokenizer/code_point_set.h"

namespace cadre::tokenizer {

// A general category by its short name or one of the longer ones in use, a script that unicode_tables.h has, or "any";
// spelled in any case, with spaces, hyphens and underscores. Empty where the name is not known.
CodePointSet unicode_property(std::string_view name);

}  // namespace cadre::tokenizer
