#pragma once

#include <ostream>
#include <string>

namespace cadre::launch {

// The list of verbs, or what one verb takes.
void print_help(const std::string& verb, std::ostream& out);

}  // namespace cadre::launch
