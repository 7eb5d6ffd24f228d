#include "trainer/data/prompt_format.h"

#include <algorithm>

#include "runtime/error.h"
#include "trainer/data/row_reader.h"

namespace cadre::data {

PromptFormat::PromptFormat(std::string_view format, std::string_view key, const std::vector<std::string_view>& names) {
  pieces_.emplace_back();
  for (std::size_t i = 0; i < format.size(); ++i) {
    const char c = format[i];
    if ((c == '{' || c == '}') && i + 1 < format.size() && format[i + 1] == c) {
      pieces_.back().text += c;
      ++i;
    } else if (c == '{') {
      const std::size_t end = format.find('}', i);
      const std::string_view name =
          end == std::string_view::npos ? format.substr(i + 1) : format.substr(i + 1, end - i - 1);
      if (end == std::string_view::npos || std::find(names.begin(), names.end(), name) == names.end()) {
        std::string known;
        for (const auto one : names) known += (known.empty() ? "{" : ", {") + std::string(one) + "}";
        throw runtime::UserError(runtime::say("datasets: ", key, ": expected ", known, ", found ",
                                              excerpt(format.substr(i)), "; write {{ and }} for braces"));
      }
      pieces_.back().name = name;
      pieces_.emplace_back();
      i = end;
    } else if (c == '}') {
      throw runtime::UserError(runtime::say("datasets: ", key, ": a closing brace without an opening one at ",
                                            excerpt(format.substr(i)), "; write {{ and }} for braces"));
    } else {
      pieces_.back().text += c;
    }
  }
}

std::string PromptFormat::fill(std::initializer_list<std::pair<std::string_view, std::string_view>> values) const {
  std::string out;
  for (const Piece& piece : pieces_) {
    out += piece.text;
    for (const auto& [name, value] : values)
      if (name == piece.name) out += value;
  }
  return out;
}

bool PromptFormat::uses(std::string_view name) const {
  return std::any_of(pieces_.begin(), pieces_.end(), [&](const Piece& piece) { return piece.name == name; });
}

}  // namespace cadre::data
