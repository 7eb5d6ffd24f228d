// "Did you mean": the nearest of the known names.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace cadre::config {

// Insertions, deletions, substitutions and swaps of neighbours that turn one into the other (optimal string alignment).
std::size_t edit_distance(std::string_view a, std::string_view b);

// The nearest name, the first of equals; empty where nothing is near enough to be what was meant.
std::string_view nearest(std::string_view word, const std::vector<std::string_view>& names);

}  // namespace cadre::config
