#include "trainer/config/suggest.h"

#include <algorithm>

namespace cadre::config {

std::size_t edit_distance(std::string_view a, std::string_view b) {
  const std::size_t width = b.size() + 1;
  std::vector<std::size_t> two_ago(width), previous(width), row(width);
  for (std::size_t j = 0; j < width; ++j) previous[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j < width; ++j) {
      row[j] = std::min({previous[j] + 1, row[j - 1] + 1, previous[j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) row[j] = std::min(row[j], two_ago[j - 2] + 1);
    }
    two_ago.swap(previous);
    previous.swap(row);
  }
  return previous[b.size()];
}

std::string_view nearest(std::string_view word, const std::vector<std::string_view>& names) {
  constexpr std::size_t kLongest = 64;  // no name is longer, and hostile ones cost nothing
  if (word.size() > kLongest) return {};
  std::string folded(word);
  for (char& c : folded) c = c == '-' ? '_' : c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  std::string_view best;
  std::size_t best_distance = folded.size() / 3 + 1;  // further away is another word
  for (const std::string_view name : names) {
    const std::size_t distance = edit_distance(folded, name);
    if (distance < best_distance || (distance == best_distance && best.empty() && distance < name.size()))
      best = name, best_distance = distance;
  }
  return best;
}

}  // namespace cadre::config
