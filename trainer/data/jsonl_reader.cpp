#include "trainer/data/jsonl_reader.h"

#include <boost/json/kind.hpp>
#include <utility>

#include "runtime/error.h"
#include "trainer/data/json_text.h"

namespace cadre::data {

bool JsonlReader::next(Row& row) {
  while (!rest_.empty()) {
    const std::size_t newline = rest_.find('\n');
    const std::string_view line = rest_.substr(0, newline);
    rest_.remove_prefix(newline == std::string_view::npos ? rest_.size() : newline + 1);
    ++line_;
    const std::size_t begin = skip_space(line, 0);
    if (begin == line.size()) continue;
    if (line[begin] == '[' && line_ == 1)
      fail_row(where_, line_,
               "expected one JSON object a line, found an array; if the file is one array, set `format: json`");
    boost::json::value value = parse_json(line, {where_, line_, "the row"});
    if (!value.is_object())
      fail_row(where_, line_,
               runtime::say("expected one JSON object a line, found ", excerpt(line), ", of kind ",
                            boost::json::to_string(value.kind())));
    row = {line_, line.size(), std::move(value.get_object())};
    return true;
  }
  return false;
}

}  // namespace cadre::data
