// Text with places to fill: "Question: {instruction}\nIntent:". Two braces stand for one.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace cadre::data {

class PromptFormat {
 public:
  // `key` names the configuration key in errors. UserError for a place that is not in `names`, or a brace alone.
  PromptFormat(std::string_view format, std::string_view key, const std::vector<std::string_view>& names);

  // Each place filled with the value of its name; a name without a value leaves nothing.
  std::string fill(std::initializer_list<std::pair<std::string_view, std::string_view>> values) const;
  bool uses(std::string_view name) const;

 private:
  // Text, then the name of the place that follows it (empty after the last).
  struct Piece {
    std::string text, name;
  };
  std::vector<Piece> pieces_;
};

}  // namespace cadre::data
