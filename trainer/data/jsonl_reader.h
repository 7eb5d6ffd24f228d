// JSON Lines: one object a line. Blank lines are passed over, lines may end in CRLF.
#pragma once

#include <string>
#include <string_view>

#include "trainer/data/row_reader.h"

namespace cadre::data {

class JsonlReader final : public RowReader {
 public:
  // `text` (without byte order mark) outlives the reader.
  JsonlReader(std::string_view text, std::string where) : rest_(text), where_(std::move(where)) {}
  bool next(Row& row) override;

 private:
  std::string_view rest_;
  std::string where_;
  std::uint64_t line_ = 0;
};

}  // namespace cadre::data
